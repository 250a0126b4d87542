import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import type { Tee } from '#lib/attest'
import { concat, toHex, utf8 } from '#lib/bytes'
import type { Transport } from '#lib/http'
import { parseResourceUri, serializeInitData } from '#lib/initdata'
import { type EnclaveManifest, manifestBytes } from '#lib/manifest'
import { createHttpTransport } from '#platform/http'
import { type Agent, type AgentEnvironment, createAgent } from '../../src/enclave/agent/agent.ts'
import { openSimTee } from '../../src/enclave/tee/index.ts'
import { openPlatform, type Secs, type SimPlatform } from '../../src/host/launcher/sim/index.ts'
import { initDataDir, readKeys } from '../../src/owner/kbs/data-dir.ts'
import { readRoot, rootDocument } from '../../src/owner/kbs/root.ts'
import { type RunningBroker, runBroker } from '../../src/owner/kbs/run.ts'

const fill = (byte: number) => new Uint8Array(32).fill(byte)
const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())

/** MRSIGNER of the harness's enclaves. */
export const SIGNER: Uint8Array = fill(0x51)
/** MRENCLAVE of the init that the harness's agent pins. */
export const INIT_ENCLAVE: Uint8Array = fill(0xb1)
/** The manifest of the harness's agent. */
export const MANIFEST: Uint8Array = manifestBytes({
  version: 1,
  program: 'agent',
  image: { sha256: toHex(fill(3)), size: 1 },
  entry: '/usr/bin/node',
  args: [],
  env: {},
  attributes: { debug: false },
  isvProdId: 1,
  isvSvn: 1,
  builtAt: 1_700_000_000,
  peers: { init: { mrEnclave: toHex(INIT_ENCLAVE) } },
} satisfies EnclaveManifest)

/** An agent that is started, and the init-data that it was started with. */
export interface StartedAgent {
  readonly agent: Agent
  readonly tee: Tee
  readonly initData: Uint8Array
  /** What it wrote to the host's log. */
  readonly log: Readonly<Record<string, string>>[]
  /** Hands over manifest and init-data, as the supervisor does. */
  configure(): Promise<void>
}

/** How an agent differs from an ordinary one. */
export interface AgentChange {
  readonly namespace?: string
  readonly url?: string
  readonly pins?: readonly string[]
  readonly secs?: Partial<Secs>
  readonly environment?: Partial<AgentEnvironment>
}

/** A real broker and a simulated machine, in one process, in a temporary folder. */
export class AgentHarness implements AsyncDisposable {
  readonly dir: string
  readonly broker: RunningBroker
  readonly platform: SimPlatform
  readonly pin: string

  private constructor(dir: string, broker: RunningBroker, platform: SimPlatform, pin: string) {
    this.dir = dir
    this.broker = broker
    this.platform = platform
    this.pin = pin
  }

  /** Starts both; the broker trusts the machine and knows the agent, unless `bare`. */
  static async start(options: { readonly bare?: boolean } = {}): Promise<AgentHarness> {
    const dir = mkdtempSync(join(tmpdir(), 'enclave-cc-agent-'))
    const dataDir = join(dir, 'kbs')
    const listen = '127.0.0.1:0'
    const names = ['127.0.0.1']
    await initDataDir(dataDir, { listen, url: 'https://127.0.0.1', names, now: Date.now() })
    const log = () => {}
    const broker = await runBroker({ dataDir, version: 'test', log, now: Date.now })
    const platform = await openPlatform(join(dir, 'platform'))
    const { pin } = await readKeys(dataDir, Date.now())
    const harness = new AgentHarness(dir, broker, platform, pin)
    if (options.bare !== true) await harness.trust()
    return harness
  }

  /** Root and reference value of the agent. */
  async trust(): Promise<void> {
    const root = readRoot(this.platform.exportRoot(), 'simulated', new Date().toISOString())
    const reference = { name: 'agent', program: 'agent', mrEnclave: toHex(sha256(MANIFEST)) }
    await this.broker.broker.commit(
      [
        { op: 'put-document', kind: 'root', id: root.id, document: rootDocument(root) },
        { op: 'put-document', kind: 'reference', id: 'agent', document: reference },
      ],
      { event: 'test' },
    )
  }

  /** Sets a resource. */
  async set(uri: string, value: Uint8Array | string): Promise<void> {
    const bytes = typeof value === 'string' ? utf8(value) : value
    await this.broker.broker.setResource(parseResourceUri(uri), bytes, 'test')
  }

  /** A decision of the broker's log. */
  async decision(id: string | undefined): Promise<Readonly<Record<string, unknown>>> {
    return (await this.broker.broker.parts.store.decision(id ?? '')) ?? {}
  }

  /** Starts an agent on the simulated machine. */
  agent(change: AgentChange = {}): StartedAgent {
    const initData = utf8(
      serializeInitData({
        broker: {
          url: change.url ?? this.broker.url,
          pins: change.pins ?? [this.pin],
          namespace: change.namespace ?? 'acme',
        },
      }),
    )
    const [inside, outside] = duplexPair()
    this.platform.serve(outside, {
      mrEnclave: sha256(MANIFEST),
      mrSigner: SIGNER,
      configId: concat(sha256(initData), new Uint8Array(32)),
      isvProdId: 1,
      isvSvn: 1,
      debug: false,
      ...change.secs,
    })
    const tee = openSimTee(inside)
    const log: Readonly<Record<string, string>>[] = []
    const agent = createAgent({
      tee,
      quoteProgram: 'none: these agents have reports',
      brokerTransport: (pins) => createHttpTransport({ pins, tlsOnly: true }).send,
      registryNetwork: {
        transport: () => unreachable,
        clock: { sleep: async () => {}, random: () => 0, now: Date.now },
      },
      sealLayers: async () => [],
      platform: { os: 'linux', architecture: 'amd64' },
      progress: () => performance.now(),
      log: (line) => log.push(line),
      ...change.environment,
    })
    const configure = async (): Promise<void> => {
      await agent.handlers.configure({ initData, manifest: MANIFEST }, context())
    }
    return { agent, tee, initData, log, configure }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.close()
    rmSync(this.dir, { recursive: true })
  }
}

/** A call context without limits. */
export function context(): { signal: AbortSignal; metadata: readonly [] } {
  return { signal: new AbortController().signal, metadata: [] }
}

const unreachable: Transport = async () => {
  throw new Error('this test has no registry')
}
