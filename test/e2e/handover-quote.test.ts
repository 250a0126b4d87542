import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { toHex } from '#lib/bytes'
import {
  type EnclaveManifest,
  mrEnclave,
  parseSignedManifest,
  signedManifestBytes,
  signManifest,
} from '#lib/manifest'
import { DEVELOPMENT_KEY } from '../../src/host/bundle/development-key.ts'
import { ownedWorld } from '../support/owned-world.ts'
import { publish } from '../support/owner.ts'
import { refused } from '../support/refused.ts'
import type { CliResult, World } from '../support/world.ts'

const CONFIG = { Entrypoint: ['cat'], Cmd: ['/etc/greeting'] }
const FILES = { '/etc/greeting': 'hello from inside\n' }

let world: World
let app: string
let quotes: string

ownedWorld('quotes', async (made) => {
  world = made
  app = await publish(world, { name: 'acme/app:1', config: CONFIG, files: FILES })
  quotes = world.path('quotes')
  await world.ok(['bundle', 'build', '--out', quotes, ...handover(world.path('sim-root.pem'))])
  await world.ok(['kbs', 'reference', 'set', '--bundle', quotes])
  // makes the folders that stay, and shows that image, policies and default bundle are in order
  assert.equal((await world.ok(['run', '--rm', app])).stdout, 'hello from inside\n')
})

function handover(root: string, number = '1'): string[] {
  return ['--handover', 'quote', '--trust-anchor', root, '--min-tcb-evaluation', number]
}

function run(bundle: string): Promise<CliResult> {
  return world.cli(['run', '--rm', '--bundle', bundle, app])
}

type Edit = (manifest: EnclaveManifest) => EnclaveManifest

/** A bundle of the same image whose manifests its builder changed: init first, since the agent names it. */
async function variant(name: string, init: Edit, agent: Edit): Promise<string> {
  const folder = world.path(name)
  mkdirSync(folder)
  linkSync(join(quotes, 'bundle.erofs'), join(folder, 'bundle.erofs'))
  const read = (program: string): EnclaveManifest =>
    parseSignedManifest(readFileSync(join(quotes, `${program}.json`))).manifest
  const write = (manifest: EnclaveManifest): EnclaveManifest => {
    const signed = signManifest(manifest, createPrivateKey(DEVELOPMENT_KEY))
    writeFileSync(join(folder, `${manifest.program}.json`), signedManifestBytes(signed))
    return manifest
  }
  const changed = write(init(read('init')))
  const peers = { init: { mrEnclave: toHex(mrEnclave(changed)) } }
  write(agent({ ...read('agent'), peers }))
  await world.ok(['kbs', 'reference', 'set', '--bundle', folder])
  return folder
}

const same: Edit = (manifest) => manifest
const reports: Edit = ({ handover: _, ...manifest }) => manifest

test('a container runs from a bundle whose enclaves prove themselves with quotes', async () => {
  const result = await run(quotes)
  assert.equal(result.code, 0, result.stderr)
  assert.equal(result.stdout, 'hello from inside\n')
  const { enclaves } = (await world.ok(['bundle', 'measure', quotes, '--json'])).json<{
    enclaves: { program: string; handover: string }[]
  }>()
  assert.deepEqual(
    enclaves.map(({ program, handover }) => [program, handover]),
    [
      ['agent', 'quote'],
      ['init', 'quote'],
    ],
  )
})

test('the form is measured: the same image with the other form is another bundle', async () => {
  const args = ['bundle', 'diff', join(world.root, 'bundles/default'), quotes, '--json']
  const result = await world.cli(args)
  assert.equal(result.code, 1)
  const { changed, attributes } = result.json<{
    changed: unknown[]
    attributes: { name: string; before: unknown }[]
  }>()
  assert.deepEqual(changed, [])
  const names = ['form', 'minTcbEvaluationDataNumber', 'root'].map((name) => `handover.${name}`)
  assert.deepEqual(
    attributes.map(({ name, before }) => [name, before]),
    ['agent', 'init'].flatMap((program) => names.map((name) => [`${program}.${name}`, null])),
  )
})

test('enclaves of which one has the other form get nothing, though each names the other', async () => {
  // What is done here to the manifests is no obstacle by itself.
  assert.equal((await run(await variant('both', same, same))).code, 0)
  assert.equal((await run(await variant('neither', reports, reports))).code, 0)
  refused(await run(await variant('init-reports', reports, same)), 'HANDOVER_REFUSED')
  refused(await run(await variant('agent-reports', same, reports)), 'HANDOVER_REFUSED')
})

test('quotes that stand on another root than the measured one are refused, by either side', async () => {
  const other = world.path('other-root.pem')
  const env = { ENCLAVE_CC_ROOT: world.path('other-node'), ENCLAVE_CC_STATE: world.path('o') }
  await world.ok(['platform', 'export-root', other], { env })
  const root = derOf(other).toString('base64')
  const pinned: Edit = (manifest) => {
    assert.ok(manifest.handover)
    return { ...manifest, handover: { ...manifest.handover, root } }
  }
  refused(await run(await variant('both-other', pinned, pinned)), 'HANDOVER_REFUSED')
  refused(await run(await variant('init-other', pinned, same)), 'HANDOVER_REFUSED')
  refused(await run(await variant('agent-other', same, pinned)), 'HANDOVER_REFUSED')
})

test('collateral below the measured evaluation number is refused', async () => {
  const high: Edit = (manifest) => {
    assert.ok(manifest.handover)
    return { ...manifest, handover: { ...manifest.handover, minTcbEvaluationDataNumber: 1_000 } }
  }
  refused(await run(await variant('high', high, high)), 'HANDOVER_REFUSED')
})

test('bundle build wants all that quotes need, and a root that is one', async () => {
  const build = (...args: string[]): Promise<CliResult> =>
    world.cli(['bundle', 'build', '--out', world.path('none'), ...args])
  const root = world.path('sim-root.pem')
  writeFileSync(world.path('no-root.pem'), 'nothing\n')
  refused(await build('--handover', 'quote'), 'USAGE', 2)
  refused(await build('--handover', 'quote', '--trust-anchor', root), 'USAGE', 2)
  refused(await build(...handover(root, 'many')), 'USAGE', 2)
  refused(await build(...handover(world.path('absent.pem'))), 'INPUT_UNREADABLE', 2)
  refused(await build('--handover', 'both'), 'USAGE', 2)
  refused(await build('--trust-anchor', root), 'USAGE', 2)
  refused(await build(...handover(world.path('no-root.pem'))), 'TRUST_ANCHOR_FORMAT', 1)
})

function derOf(file: string): Buffer {
  const text = readFileSync(file, 'latin1').replace(/-----[^-]+-----/g, '')
  return Buffer.from(text, 'base64')
}
