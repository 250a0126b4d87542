import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

/** Milliseconds of processor time that the first launch decision of a process takes. */
function firstDecision(before: string): number {
  const program = `
    import { LAUNCH_DEFAULT } from '#lib/policy'
    import { createSessionKey } from './broker/session-key.ts'
    import { ask } from './image/launch-decision.ts'
    import { warmUp } from './warm-up.ts'
    const image = { registry: 'r.example', repository: 'a/b', tag: '1', digest: 'sha256:00', signers: [],
      signed: true, encrypted: true, fullyEncrypted: true }
    ${before}
    const begin = process.cpuUsage()
    const answer = ask(LAUNCH_DEFAULT, { action: 'run', image, platform: 'simulated', containerId: 'c' })
    const { user, system } = process.cpuUsage(begin)
    console.log(JSON.stringify({ took: (user + system) / 1000, allowed: answer.allowed }))`
  const out = execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const { took, allowed } = JSON.parse(out) as { took: number; allowed: boolean }
  assert.equal(allowed, true)
  return took
}

test('after a warm-up the first launch decision costs a fraction, and decides the same', () => {
  const cold = firstDecision('')
  const warm = firstDecision('await warmUp(createSessionKey())')
  assert.ok(warm < cold / 2, `${warm} ms of processor time after a warm-up, ${cold} ms without`)
})
