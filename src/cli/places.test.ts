import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { resolvePlaces } from './places.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-places-'))
after(() => rmSync(folder, { recursive: true }))

function config(text: string): string {
  const file = join(folder, 'config.toml')
  writeFileSync(file, text)
  return file
}
const flags =
  (values: Readonly<Record<string, string>>) =>
  (name: string): string | undefined =>
    values[name]

test('flag before environment before configuration before default', () => {
  const file = config('root = "/c"\nstate = "/c"\nkbs-data = "/c"\nkbs-url = "https://c"\n')
  const places = resolvePlaces(flags({ config: file, root: '/f' }), {
    ENCLAVE_CC_ROOT: '/e',
    ENCLAVE_CC_STATE: '/e',
    ENCLAVE_CC_KBS_DATA: '',
  })
  assert.equal(places.root, '/f')
  assert.equal(places.state, '/e')
  assert.equal(places.kbsData, '/c', 'an empty variable is none')
  assert.equal(places.kbsUrl, 'https://c')
  assert.equal(places.initData, '/etc/enclave-cc/init-data.toml')
})

test('places are absolute, since supervisors work in another directory', () => {
  const places = resolvePlaces(flags({ config: config(''), root: 'r', state: './s' }), {})
  assert.equal(places.root, join(process.cwd(), 'r'))
  assert.equal(places.state, join(process.cwd(), 's'))
})

test('a configuration that is misread would be worse than none: it is refused', () => {
  for (const text of ['rot = "/x"\n', 'root = 1\n', 'root = \n', 'root = ""\n']) {
    assert.throws(() => resolvePlaces(flags({ config: config(text) }), {}), { code: 'USAGE' }, text)
  }
  const missing = join(folder, 'missing.toml')
  assert.throws(() => resolvePlaces(flags({}), { ENCLAVE_CC_CONFIG: missing }), {
    code: 'INPUT_UNREADABLE',
  })
})
