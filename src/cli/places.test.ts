import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { resolveSettings } from './places.ts'

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
  const { places } = resolveSettings(flags({ config: file, root: '/f' }), {
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
  const { places } = resolveSettings(flags({ config: config(''), root: 'r', state: './s' }), {})
  assert.equal(places.root, join(process.cwd(), 'r'))
  assert.equal(places.state, join(process.cwd(), 's'))
})

test('a configuration that is misread would be worse than none: it is refused', () => {
  for (const text of [
    'rot = "/x"\n',
    'root = 1\n',
    'root = \n',
    'root = ""\n',
    'pool-size = -1\n',
  ]) {
    assert.throws(
      () => resolveSettings(flags({ config: config(text) }), {}),
      { code: 'USAGE' },
      text,
    )
  }
  const missing = join(folder, 'missing.toml')
  assert.throws(() => resolveSettings(flags({}), { ENCLAVE_CC_CONFIG: missing }), {
    code: 'INPUT_UNREADABLE',
  })
})

test('the pool has one spare by default, none with 0, and what is no number or time is refused', () => {
  const pool = (env: Readonly<Record<string, string>>, text = ''): unknown =>
    resolveSettings(flags({ config: config(text) }), env).pool
  assert.deepEqual(pool({}), { size: 1, linger: 0 })
  assert.deepEqual(pool({}, 'pool-size = 3\npool-linger = "10m"\n'), { size: 3, linger: 600_000 })
  assert.deepEqual(pool({ ENCLAVE_CC_POOL_SIZE: '0' }, 'pool-size = "3"\n'), { size: 0, linger: 0 })
  assert.deepEqual(pool({ ENCLAVE_CC_POOL_LINGER: '250ms' }), { size: 1, linger: 250 })
  for (const [name, text] of [
    ['SIZE', '65'],
    ['SIZE', '1.5'],
    ['SIZE', 'x'],
    ['LINGER', '10'],
    ['LINGER', '-1s'],
    ['LINGER', '1d'],
  ] as const) {
    assert.throws(() => pool({ [`ENCLAVE_CC_POOL_${name}`]: text }), { code: 'USAGE' }, text)
  }
})

test('the node keeps 20 GiB of layers by default, none with 0, and what is no size is refused', () => {
  const maxSize = (env: Readonly<Record<string, string>>, text = ''): number =>
    resolveSettings(flags({ config: config(text) }), env).cache.maxSize
  assert.equal(maxSize({}), 20 * 2 ** 30)
  assert.equal(maxSize({}, 'cache-max-size = "500M"\n'), 500 * 2 ** 20)
  assert.equal(maxSize({ ENCLAVE_CC_CACHE_MAX_SIZE: '0' }, 'cache-max-size = "500M"\n'), 0)
  for (const text of ['much', '-1', '1.5G', '1e9']) {
    assert.throws(() => maxSize({ ENCLAVE_CC_CACHE_MAX_SIZE: text }), { code: 'USAGE' }, text)
  }
})
