import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyKeptBundle } from '../../test/support/kept-bundle.ts'
import { redisCommand } from '../../test/support/redis-client.ts'
import { buildRedisImage } from '../../test/support/redis-image.ts'
import { type CliResult, freePort, until, type World } from '../../test/support/world.ts'
import type { Screen } from './screen.ts'
import { type StepLine, StepLines } from './step-lines.ts'

/** What the flow leaves for the refusals. */
export interface Flow {
  readonly port: number
  readonly marker: string
  /** The encrypted, signed image, and its plain twin, in the registry. */
  readonly reference: string
  readonly twin: string
  readonly bundle: string
  readonly containerId: string
}

/** Options of `runFlow`. */
export interface FlowOptions {
  readonly world: World
  readonly screen: Screen
  /** Folder that keeps unpacked packages between runs. */
  readonly kept: string
  readonly signal: AbortSignal
  /** Take a bundle of the same programs that an earlier run has built. */
  readonly reuseBundle: boolean
}

const NAMESPACE = 'acme'

/** The twelve steps, each by the command that a user would type. */
export async function runFlow(options: FlowOptions): Promise<Flow> {
  const { world, screen, signal } = options
  const marker = `enclave-cc-demo-marker-${process.pid.toString(36)}-${Date.now().toString(36)}`
  const port = await freePort()
  const plain = `oci:${world.path('plain')}:plain`
  const step: Screen['step'] = async (title, work) => {
    signal.throwIfAborted()
    const result = await screen.step(title, work)
    signal.throwIfAborted()
    return result
  }
  const cli = (...args: string[]) => world.ok(args, { signal })

  screen.heading('Input: an image of Debian’s redis-server, and a registry on loopback')
  await step('build the image from Debian packages', async (note) => {
    mkdirSync(options.kept, { recursive: true })
    const image = { work: options.kept, out: world.path('plain'), port, marker }
    const digest = buildRedisImage(image)
    note(`${digest.slice(0, 19)}…, five layers, user redis, volume /data`)
  })
  await step('start docker-registry, push the unencrypted twin', async (note) => {
    await world.startRegistry()
    await cli('image', 'push', plain, `docker://${world.registry}/acme/redis-plain:1`)
    note(`${world.registry}/acme/redis-plain:1`)
  })

  screen.heading('The twelve steps')
  const bundle = join(world.root, 'bundles', 'default')
  await step('1  broker: kbs init, serve, init-data', async (note) => {
    await world.startBroker()
    const { stdout } = await cli('kbs', 'init-data', '--namespace', NAMESPACE)
    writeFileSync(world.env.ENCLAVE_CC_INIT_DATA ?? '', stdout)
    note(`${world.kbsUrl}, namespace ${NAMESPACE}`)
  })
  await step('2  bundle: build, measure, make it a reference value', async (note) => {
    const build = (out: string): Promise<CliResult> => cli('bundle', 'build', '--out', out)
    if (options.reuseBundle) await copyKeptBundle(world.dist, bundle, build)
    else await build(bundle)
    const measured = (await cli('bundle', 'measure', bundle, '--json')).json<{
      enclaves: { program: string; mrEnclave: string }[]
    }>()
    await cli('kbs', 'reference', 'set', '--bundle', bundle, '--name', 'demo')
    await cli('platform', 'export-root', world.path('sim-root.pem'))
    await cli('kbs', 'root', 'add', world.path('sim-root.pem'), '--platform', 'simulated')
    for (const { program, mrEnclave } of measured.enclaves)
      note(`${program.padEnd(5)} ${mrEnclave}`)
    note('the broker now trusts this simulated root, because its owner said so')
  })
  const sealed = `oci:${world.path('sealed')}:1`
  await step('3  encrypt: every layer, key in the broker', async (note) => {
    const uri = `kbs:///${NAMESPACE}/image-kek/redis`
    const result = await cli('image', 'encrypt', plain, sealed, '--encryption-key', uri, '--json')
    const { layers } = result.json<{ layers: { encrypted: boolean; size: number }[] }>()
    const total = layers.reduce((sum, layer) => sum + layer.size, 0)
    note(`${layers.filter((l) => l.encrypted).length} layers, ${mib(total)}, key ${uri}`)
  })
  const reference = `${world.registry}/acme/redis:1`
  await step(
    '4  sign: the owner’s key, and what the broker tells agents to require',
    async (note) => {
      await cli('keygen', 'signing', '--out', world.path('owner'))
      const policy = imagePolicy(`${world.registry}/acme`, readFileSync(world.path('owner.pub')))
      const file = world.path('policy.json')
      writeFileSync(file, JSON.stringify(policy))
      await cli('kbs', 'resource', 'set', `kbs:///${NAMESPACE}/security-policy/default`, file)
      note('everything below acme must be signed by it, the rest is rejected')
    },
  )
  await step('5  push the image, and its signature beside it', async (note) => {
    await cli('image', 'push', sealed, `docker://${reference}`)
    await cli('image', 'sign', `docker://${reference}`, '--key', world.path('owner.key'))
    note(reference)
  })
  const containerId = await run(options, reference)
  await step('a real client talks to the server inside its enclave', async (note) => {
    await until(async () => (await redisCommand(port, 'PING')) === 'PONG', 'redis', signal)
    await redisCommand(port, 'SET', 'greeting', 'hello from the enclave')
    const info = await redisCommand(port, 'INFO', 'server')
    note(`SET, GET: "${await redisCommand(port, 'GET', 'greeting')}"`)
    note(
      `redis ${/redis_version:(\S+)/.exec(info)?.[1]}, pid ${/process_id:(\d+)/.exec(info)?.[1]} inside`,
    )
  })
  return {
    port,
    marker,
    reference,
    twin: `${world.registry}/acme/redis-plain:1`,
    bundle,
    containerId,
  }
}

// Steps 6 to 12 are one command; its progress lines say when each is done.
async function run({ world, screen, signal }: FlowOptions, reference: string): Promise<string> {
  const titles: Readonly<Record<string, string>> = {
    'launch the enclaves': '6  launch: agent and init from the measured bundle',
    'attest to the broker': '7  attest: evidence, nonce, ephemeral key, token',
    'fetch policies': '8  judge: policies from the broker',
    'fetch manifest': '8  judge: manifest by digest',
    'verify signature': '8  judge: signature',
    'launch decision': '8  judge: launch decision',
    'fetch keys': '9  keys: for this image, within the namespace',
    'fetch, verify and seal layers': '10 layers: authenticate, decrypt, unpack, seal',
    'hand over keys and launch configuration': '11 handover: mutual local attestation',
    'mount and start the container': '12 run: FUSE, EROFS, overlay, runc',
  }
  let pending = ''
  const steps = new StepLines(screen, titles)
  const args = ['run', '-d', '--progress', 'json', '--name', 'demo', reference]
  const result = await world.cli(args, {
    signal,
    onStderr(text) {
      pending += text
      const lines = pending.split('\n')
      pending = lines.pop() ?? ''
      for (const line of lines) {
        if (line.startsWith('{"progress"')) steps.show(JSON.parse(line) as StepLine)
        else screen.line(line)
      }
    },
  })
  if (result.code !== 0) throw new Error(`enclave-cc ${args.join(' ')}: exit ${result.code}`)
  return result.stdout.trim()
}

/** A policy.json that wants a cosign signature by this key for everything below `scope`, and rejects the rest. */
export function imagePolicy(scope: string, publicKey: Uint8Array): Record<string, unknown> {
  const signed = {
    type: 'sigstoreSigned',
    keyData: Buffer.from(publicKey).toString('base64'),
    signedIdentity: { type: 'matchRepository' },
  }
  return { default: [{ type: 'reject' }], transports: { docker: { [scope]: [signed] } } }
}

function mib(bytes: number): string {
  return `${(bytes / 1048576).toFixed(1)} MiB`
}
