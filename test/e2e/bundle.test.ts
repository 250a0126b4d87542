import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { flipByte } from '../support/files.ts'
import { World } from '../support/world.ts'

interface Measurement {
  readonly image: { readonly sha256: string; readonly size: number }
  readonly enclaves: readonly {
    readonly program: string
    readonly mrEnclave: string
    readonly debug: boolean
  }[]
  readonly files: readonly { readonly path: string; readonly sha256: string }[]
}

let world: World
let first: Measurement

before(async () => {
  world = new World('bundle')
  first = (await world.ok(['bundle', 'build', '--out', world.path('a'), '--json'])).json()
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

test('two builds of programs in two places give one measurement', async () => {
  const dist = world.path('elsewhere/dist')
  cpSync(world.dist, dist, { recursive: true })
  const second = (
    await world.ok(['bundle', 'build', '--out', world.path('b'), '--json'], { dist })
  ).json<Measurement>()
  assert.deepEqual(second, first)
  const diff = await world.cli(['bundle', 'diff', world.path('a'), world.path('b'), '--json'])
  assert.equal(diff.code, 0)
  assert.deepEqual(diff.json(), { same: true, changed: [], attributes: [] })
})

test('bundle measure predicts the identities, and the image holds what the enclaves execute', async () => {
  const measured = (await world.ok(['bundle', 'measure', world.path('a'), '--json'])).json()
  assert.deepEqual(measured, first)
  assert.deepEqual(
    first.enclaves.map(({ program }) => program),
    ['agent', 'init'],
  )
  const paths = first.files.map(({ path }) => path)
  for (const wanted of ['/usr/bin/node', '/usr/sbin/runc', '/usr/lib/enclave-cc/agent.cjs']) {
    assert.ok(paths.includes(wanted), wanted)
  }
})

test('another attribute or another date is another measurement, and diff names it', async () => {
  await world.ok(['bundle', 'build', '--out', world.path('debug'), '--debug'])
  const args = ['bundle', 'diff', world.path('a'), world.path('debug'), '--json']
  const debug = await world.cli(args)
  assert.equal(debug.code, 1)
  const { changed, attributes } = debug.json<{
    changed: unknown[]
    attributes: { name: string }[]
  }>()
  assert.deepEqual(changed, [])
  assert.deepEqual(
    attributes.map(({ name }) => name),
    ['agent.attributes.debug', 'init.attributes.debug'],
  )
  const dated = (
    await world.ok(['bundle', 'build', '--out', world.path('dated'), '--json'], {
      env: { SOURCE_DATE_EPOCH: '1700000000' },
    })
  ).json<Measurement>()
  assert.notEqual(dated.enclaves[0]?.mrEnclave, first.enclaves[0]?.mrEnclave)
})

test('one flipped byte of the image is found before anything is measured or started', async () => {
  const bad = world.path('bad')
  cpSync(world.path('a'), bad, { recursive: true })
  flipByte(`${bad}/bundle.erofs`, 100_000_000)
  const measure = await world.cli(['bundle', 'measure', bad])
  assert.equal(measure.code, 1)
  assert.match(measure.stderr, /\[BUNDLE_IMAGE_MISMATCH\]\nnext: /)
  const diff = await world.cli(['bundle', 'diff', world.path('a'), bad])
  assert.equal(diff.code, 2)
  rmSync(`${bad}/bundle.erofs`)
  assert.match((await world.cli(['bundle', 'measure', bad])).stderr, /\[BUNDLE_MISSING\]/)
})
