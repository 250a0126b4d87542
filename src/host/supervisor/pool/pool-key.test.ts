import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type PodInputs, poolKey } from './pool-key.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-key-'))
mkdirSync(join(folder, 'platform'))
after(() => rmSync(folder, { recursive: true }))
const put = (name: string, text = name): void => writeFileSync(join(folder, name), text)

const inputs: PodInputs = {
  root: folder,
  bundle: folder,
  initData: new TextEncoder().encode('version = "0.1.0"'),
  program: join(folder, 'supervisor.cjs'),
  mounts: 'mnt:[1]',
  keepsLayers: true,
  scratch: 2 ** 32,
}

test('each thing that a pod is opened with makes another key; the same things make the same', () => {
  const files = ['agent.json', 'init.json', 'supervisor.cjs', 'platform/device.json']
  for (const name of [...files, 'platform/issue-1']) put(name)
  const first = poolKey(inputs)
  assert.match(first ?? '', /^[0-9a-f]{20}$/)
  assert.equal(poolKey({ ...inputs }), first)
  const seen = new Set([first])
  const other = (what: string, key: string | undefined): void => {
    assert.ok(key !== undefined && !seen.has(key), what)
    seen.add(key)
  }
  other('init-data', poolKey({ ...inputs, initData: new Uint8Array(17) }))
  other('layers', poolKey({ ...inputs, keepsLayers: false }))
  const { scratch, ...none } = inputs
  other('no scratch', poolKey(none))
  other('another scratch', poolKey({ ...inputs, scratch: 2 * (scratch ?? 0) }))
  other('mounts', poolKey({ ...inputs, mounts: 'mnt:[2]' }))
  for (const name of files) {
    put(name, `${name}, changed`)
    other(name, poolKey(inputs))
  }
  put('platform/issue-2')
  other('an issue of collateral', poolKey(inputs))
  put('platform/.new-1')
  assert.ok(seen.has(poolKey(inputs)), 'what is half written is none')
  for (const name of files) {
    rmSync(join(folder, name))
    assert.equal(poolKey(inputs), undefined, `without ${name}`)
    put(name)
  }
})

test('a pod is not like one that runs on other processors, or with another priority', () => {
  for (const name of ['agent.json', 'init.json', 'supervisor.cjs', 'platform/device.json'])
    put(name)
  const module = join(import.meta.dirname, 'pool-key.ts')
  const bytes = { ...inputs, initData: undefined }
  const script = `
    const { poolKey } = await import(${JSON.stringify(module)})
    console.log(poolKey({ ...${JSON.stringify(bytes)}, initData: new Uint8Array(1) }))`
  const keyOf = (...before: readonly string[]): string => {
    const [program = '', ...args] = [...before, process.execPath]
    const node = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script]
    const ran = spawnSync(program, [...args, ...node], { encoding: 'utf8' })
    assert.match(ran.stdout, /^[0-9a-f]{20}\n$/, ran.stderr)
    return ran.stdout
  }
  const plain = keyOf()
  assert.equal(keyOf(), plain)
  assert.notEqual(keyOf('nice', '-n', '5'), plain)
  if (availableParallelism() > 1) assert.notEqual(keyOf('taskset', '-c', '0'), plain)
})
