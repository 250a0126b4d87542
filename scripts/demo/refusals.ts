import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startFalseBroker } from '../../test/support/false-broker.ts'
import { flipByte } from '../../test/support/files.ts'
import { scanForMarker } from '../../test/support/plaintext-scanner.ts'
import { redisCommand } from '../../test/support/redis-client.ts'
import { registryBlobs } from '../../test/support/registry-blobs.ts'
import { sealedFiles } from '../../test/support/sealed-files.ts'
import { type CliResult, until, type World } from '../../test/support/world.ts'
import type { Flow } from './flow.ts'
import type { Screen } from './screen.ts'

/** Options of `runRefusals`. */
export interface RefusalsOptions {
  readonly world: World
  readonly screen: Screen
  readonly flow: Flow
  readonly signal: AbortSignal
}

/** What protection means: each attack, what was observed, and its code. Throws if one is not refused. */
export async function runRefusals(options: RefusalsOptions): Promise<void> {
  const { screen, signal } = options
  screen.heading('What protection means')
  for (const refusal of [
    plaintextHunt,
    unmeasuredEnclave,
    falseBroker,
    foreignKey,
    unsignedImage,
    hostArguments,
    untrustedRoot,
    flippedByte,
  ]) {
    signal.throwIfAborted()
    await refusal(options)
  }
}

async function plaintextHunt({ world, screen, flow, signal }: RefusalsOptions): Promise<void> {
  await screen.step('plaintext hunt: is the marker on disk anywhere?', async (note) => {
    // what an ordinary runtime leaves on a node for the twin
    const ordinary = world.path('ordinary-node')
    await world.ok(['image', 'pull', `docker://${flow.twin}`, `oci:${ordinary}:1`], { signal })
    const control = scanForMarker(
      [...registryBlobs(world, 'acme/redis-plain'), ordinary],
      flow.marker,
    )
    if (control.length < 2) throw new Error('the scanner does not find the marker in the twin')
    note(
      `unencrypted twin: found in ${control.length} files (${control[0]?.how}), so the scanner works`,
    )
    const folders = [...registryBlobs(world, 'acme/redis'), world.root, world.state, world.kbsData]
    const found = scanForMarker(folders, flow.marker)
    if (found.length > 0)
      throw new Error(`found the marker in ${found.map((f) => f.file).join(' ')}`)
    note('encrypted image: 0 files, in its registry blobs and in the node’s directories')
  })
}

async function unmeasuredEnclave({ world, screen, flow, signal }: RefusalsOptions): Promise<void> {
  // the same program with one more line, built by a copy of the tool
  const dist = world.path('edited-dist')
  cpSync(world.dist, dist, { recursive: true })
  writeFileSync(join(dist, 'agent.cjs'), '\n// one more line\n', { flag: 'a' })
  const edited = world.path('edited-bundle')
  await world.ok(['bundle', 'build', '--out', edited], { signal, dist })
  const result = await world.cli(['attest', '--bundle', edited], { signal })
  const { code, id } = refusalOf(result, 'APPRAISE_MEASUREMENT')
  const why = await world.cli(['kbs', 'explain', id ?? '', '--json'], { signal })
  const { claims } = why.json<{ claims: { name: string; ok: boolean; actual: unknown }[] }>()
  const wrong = claims.filter((claim) => !claim.ok)
  const diff = await world.cli(['bundle', 'diff', flow.bundle, edited], { signal })
  if (diff.code !== 1 || !diff.stdout.includes('agent.cjs'))
    throw new Error('bundle diff found nothing')
  screen.refused('an enclave that is not a reference value', code, [
    ...wrong.map((claim) => `kbs explain: ${claim.name} = ${String(claim.actual).slice(0, 24)}…`),
    ...diff.stdout
      .trim()
      .split('\n')
      .map((line) => `bundle diff: ${line}`),
  ])
}

async function falseBroker({ world, screen, flow, signal }: RefusalsOptions): Promise<void> {
  await using broker = await startFalseBroker(world)
  const file = world.path('false-init-data.toml')
  writeFileSync(file, broker.initData)
  const args = ['run', '--rm', '--init-data', file, flow.reference]
  const result = await world.cli(args, { signal })
  const { code } = refusalOf(result, 'APPRAISE_OTHER_BROKER')
  if (broker.released) throw new Error('the false broker got an answer it should not get')
  screen.refused('a genuine enclave pointed at a false broker', code, [
    `it relayed ${broker.relayed} requests to the real broker, which saw the false one’s pin in the evidence`,
  ])
}

async function foreignKey({ world, screen, signal }: RefusalsOptions): Promise<void> {
  // owner A signs an image whose layers name a key of owner B
  const key = world.path('kek')
  writeFileSync(key, Buffer.alloc(32, 7))
  await world.ok(['kbs', 'resource', 'set', 'kbs:///rival/image-kek/secret', key], { signal })
  const reference = `${world.registry}/acme/confused:1`
  const provider = `provider:attestation-agent:keypath=${key}::keyid=kbs:///rival/image-kek/secret`
  const sealed = `oci:${world.path('confused')}:1`
  const plain = `oci:${world.path('plain')}:plain`
  await world.ok(['image', 'encrypt', plain, sealed, '--encryption-key', provider], { signal })
  await world.ok(['image', 'push', sealed, `docker://${reference}`], { signal })
  await world.ok(['image', 'sign', `docker://${reference}`, '--key', world.path('owner.key')], {
    signal,
  })
  const { code } = refusalOf(
    await world.cli(['run', '--rm', reference], { signal }),
    'KEY_NAMESPACE_REFUSED',
  )
  screen.refused('owner A’s signed image that names owner B’s key', code, [
    'refused in the enclave before any key was asked for',
  ])
}

async function unsignedImage({ world, screen, flow, signal }: RefusalsOptions): Promise<void> {
  const reference = `${world.registry}/acme/redis-copy:1`
  const sealed = `oci:${world.path('resealed')}:1`
  const plain = `oci:${world.path('plain')}:plain`
  const uri = 'kbs:///acme/image-kek/redis'
  await world.ok(['image', 'encrypt', plain, sealed, '--encryption-key', uri], { signal })
  await world.ok(['image', 'push', sealed, `docker://${reference}`], { signal })
  const { code } = refusalOf(
    await world.cli(['run', '--rm', reference], { signal }),
    'SIGNATURE_MISSING',
  )
  screen.refused('a re-tagged image that nobody signed', code, [`instead of ${flow.reference}`])
}

async function hostArguments({ world, screen, flow, signal }: RefusalsOptions): Promise<void> {
  const args = ['run', '--rm', flow.reference, 'redis-server', '--protected-mode', 'no']
  const { code, next } = refusalOf(await world.cli(args, { signal }), 'LAUNCH_ARGS_REFUSED')
  screen.refused(
    'a command line changed by the host',
    code,
    next === undefined ? [] : [`next: ${next}`],
  )
}

async function untrustedRoot({ world, screen, signal }: RefusalsOptions): Promise<void> {
  const roots = (await world.ok(['kbs', 'root', 'list', '--json'], { signal })).json<
    { id: string }[]
  >()
  for (const { id } of roots) await world.ok(['kbs', 'root', 'delete', id], { signal })
  const { code } = refusalOf(await world.cli(['attest'], { signal }), 'APPRAISE_ROOT_UNTRUSTED')
  screen.refused('a simulated platform whose root the broker does not name', code, [])
  const file = world.path('sim-root.pem')
  await world.ok(['kbs', 'root', 'add', file, '--platform', 'simulated'], { signal })
}

async function flippedByte({ world, screen, flow, signal }: RefusalsOptions): Promise<void> {
  // the last layer holds one large file that nothing has read yet; its data begins in chunk 0
  const file = (await sealedFiles(world, flow.containerId)).at(-1) ?? ''
  flipByte(file, 4096 + 8192)
  const reply = await redisCommand(flow.port, 'MODULE', 'LOAD', '/opt/model/weights.bin').catch(
    (error: Error) => error.message,
  )
  const limit = AbortSignal.any([signal, AbortSignal.timeout(20_000)])
  await world.cli(['wait', flow.containerId], { signal: limit })
  const [record] = (await world.ok(['inspect', flow.containerId], { signal })).json<
    { state: string; code?: string; exitCode: number }[]
  >()
  if (record?.code !== 'ROOTFS_TAMPERED') {
    throw new Error(
      `one flipped byte: expected ROOTFS_TAMPERED, found ${record?.code ?? 'no code'}`,
    )
  }
  screen.refused('one flipped byte in a sealed layer', 'ROOTFS_TAMPERED', [
    `the read failed ("${reply}"), the container ended with exit code ${record.exitCode}`,
  ])
  await until(async () => !(await answers(flow.port)), 'the end of the server')
}

async function answers(port: number): Promise<boolean> {
  return await redisCommand(port, 'PING').then(
    () => true,
    () => false,
  )
}

function refusalOf(
  result: CliResult,
  expected: string,
): { readonly code: string; readonly id?: string; readonly next?: string } {
  const code = /\[([A-Z][A-Z0-9_]+)\]/.exec(result.stderr)?.[1]
  if (result.code === 0 || code !== expected) {
    throw new Error(`expected ${expected}, found exit ${result.code} ${code}:\n${result.stderr}`)
  }
  const id = /\(id ([^)]+)\)/.exec(result.stderr)?.[1]
  const next = /^next: (.*)$/m.exec(result.stderr)?.[1]
  return { code, ...(id === undefined ? {} : { id }), ...(next === undefined ? {} : { next }) }
}
