import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { test } from 'node:test'
import { exitStatus, Reaper } from './index.ts'

test('exitStatus() tells exit codes from signals, real-time ones too', () => {
  assert.deepEqual(exitStatus(7 << 8), { code: 7, signal: 0 })
  assert.deepEqual(exitStatus(9), { code: 137, signal: 9 })
  assert.deepEqual(exitStatus(11 | 128), { code: 139, signal: 11 })
  assert.deepEqual(exitStatus(40), { code: 168, signal: 40 })
})

test('Reaper gets the status of adopted orphans and leaves children of child_process alone', () => {
  const script = `
    import { becomeSubreaper, Reaper } from '${import.meta.dirname}/index.ts'
    import { spawn } from 'node:child_process'
    becomeSubreaper()
    using reaper = new Reaper()
    const alive = setInterval(() => {}, 1000)
    const child = spawn('sh', ['-c', 'sh -c "sleep 0.1; exit 5" & echo $!; exit 3'], { stdio: ['ignore', 'pipe', 'ignore'] })
    let pid = ''
    child.stdout.on('data', (b) => { pid += b })
    const code = await new Promise((resolve) => child.on('exit', resolve))
    const status = await reaper.wait(Number(pid))
    clearInterval(alive)
    console.log(JSON.stringify([code, status]))`
  const out = execFileSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', script],
    { encoding: 'utf8', timeout: 20_000, cwd: import.meta.dirname },
  )
  assert.deepEqual(JSON.parse(out), [3, { code: 5, signal: 0 }])
})

test('killChildren() ends children and what they leave behind', () => {
  const script = `
    import { becomeSubreaper, killChildren, livingChildren } from '${import.meta.dirname}/index.ts'
    import { spawn } from 'node:child_process'
    becomeSubreaper()
    const child = spawn('sh', ['-c', 'sleep 600 & sleep 600'], { stdio: 'ignore' })
    while (livingChildren(child.pid).length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    const all = [child.pid, ...livingChildren(child.pid)]
    killChildren()
    console.log(JSON.stringify([livingChildren(process.pid), all.length]))`
  const out = execFileSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', script],
    { encoding: 'utf8', timeout: 20_000, cwd: import.meta.dirname },
  )
  assert.deepEqual(JSON.parse(out), [[], 3])
})

test('Reaper refuses a pid that is no child', async () => {
  using reaper = new Reaper()
  await assert.rejects(reaper.wait(1), { code: 'ECHILD' })
  assert.deepEqual(reaper.pids, [])
  const child = spawn('true')
  await new Promise((resolve) => child.once('exit', resolve))
})
