import { createHash } from 'node:crypto'
import type { Tee } from '#lib/attest'
import { fromUtf8, toBase64, utf8, Writer } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { createResponder, type Responder, wipePayload } from '#lib/handover'
import type { Transport } from '#lib/http'
import { parseResourceUri } from '#lib/initdata'
import { object, optional, parseJson, string } from '#lib/json'
import { parseHostRequest } from '#lib/launch'
import { type Platform, parseReference, type Reference } from '#lib/oci'
import { LAUNCH_DEFAULT } from '#lib/policy'
import type { CallContext } from '#lib/ttrpc'
import type {
  AgentHandlers,
  AttestRequest,
  AttestResult,
  ConfigureRequest,
  PrepareReply,
  PrepareRequest,
} from '#protocol/agent'
import { EnclaveClock } from '../handover/enclave-clock.ts'
import { evidenceForm } from '../handover/evidence-form.ts'
import type { Later } from '../later.ts'
import { AgentError } from './agent-error.ts'
import { type Broker, createBroker } from './broker/broker.ts'
import { type Configuration, checkConfiguration } from './configuration.ts'
import { causes } from './image/decision-report.ts'
import type { RegistryNetwork } from './image/image-source.ts'
import { ask } from './image/launch-decision.ts'
import type { SealLayers } from './image/layers.ts'
import { prepare } from './image/prepare.ts'
import { ProgressLog } from './progress.ts'
import { rehearse } from './rehearsal/rehearsal.ts'

/** Everything the agent needs from outside. */
export interface AgentEnvironment {
  readonly tee: Tee
  /** Path of the program for a handover with quotes. */
  readonly quoteProgram: string
  /** A transport that accepts these keys and no others (init-data `pins`). */
  readonly brokerTransport: (pins: readonly string[]) => Transport
  readonly registryNetwork: RegistryNetwork
  readonly sealLayers: SealLayers
  /** Of images: this machine's. */
  readonly platform: Platform
  /** Milliseconds, only ever forward. */
  readonly progress: () => number
  /** Absent: nothing is done ahead. */
  readonly later?: Later
  /** One line for the host's log of this enclave: a code and what it is about. */
  readonly log: (line: Readonly<Record<string, string>>) => void
}

/** The agent's calls, and its end. */
export interface Agent {
  readonly handlers: AgentHandlers
  /** Looks at clocks: ends handovers that are over time, and tells the owner. Call it every few seconds. */
  tick(): Promise<void>
  /** Wipes keys that were not handed over. */
  close(): void
}

interface Ready {
  readonly at: 'ready'
  readonly configuration: Configuration
  readonly clock: EnclaveClock
  readonly broker: Broker
  readonly responder: Responder
}

/** An agent serves one pod of one container: its spool has room for one image. */
type Work = 'idle' | 'preparing' | 'prepared'

const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/
/** Events of the host that go into the owner's log; a host could else fill it. */
const MAX_REPORTS = 64
/** Domain of quotes over data of a caller: cannot collide with RCAR (48 bytes and zeros) or a handover. */
const CALLER_DATA = utf8('enclave-cc/caller-data/1')
const MAX_CALLER_DATA = 64

/** Creates the agent's service. */
export function createAgent(environment: AgentEnvironment): Agent {
  return new AgentProgram(environment)
}

class AgentProgram implements Agent {
  readonly handlers: AgentHandlers
  readonly #environment: AgentEnvironment
  readonly #progress = new ProgressLog()
  #state: { readonly at: 'new' | 'configuring' | 'failed' } | Ready = { at: 'new' }
  #work: Work = 'idle'
  #reports = 0
  #rehearsal: ReturnType<Later> | undefined

  constructor(environment: AgentEnvironment) {
    this.#environment = environment
    this.handlers = {
      configure: (input) => this.#configure(input),
      attest: async (input, context) => document(await this.#attest(input, context)),
      prepare: (input, context) => this.#prepare(input, context),
      events: async ({ after }, { signal }) =>
        document(await this.#progress.after(Number(after), signal)),
      handover: async ({ message }) => ({ message: await this.#ready().responder.handle(message) }),
      report: ({ json }, context) => this.#report(json, context),
    }
  }

  async tick(): Promise<void> {
    if (this.#state.at !== 'ready') return
    const { broker, responder } = this.#state
    for (const { containerId, state } of responder.sweep()) {
      const code = state === 'LOST' ? 'HANDOVER_LOST' : 'HANDOVER_EXPIRED'
      this.#environment.log({ code, container: containerId })
      await this.#tell(broker, code, `container ${containerId}: the launch was not confirmed`)
    }
  }

  close(): void {
    this.#rehearsal?.cancel()
    if (this.#state.at === 'ready') this.#state.responder.close()
  }

  async #configure(input: ConfigureRequest): Promise<object> {
    if (this.#state.at !== 'new') throw outOfOrder('it is configured already')
    this.#state = { at: 'configuring' }
    try {
      const { tee, brokerTransport, progress, quoteProgram } = this.#environment
      // The frame's buffer is kept: configuration outlives the call.
      const configuration = await checkConfiguration(tee, input)
      const { url, pins } = configuration.initData.broker
      const clock = new EnclaveClock(configuration.manifest.builtAt, progress)
      const broker = createBroker({
        wire: { url, transport: brokerTransport(pins) },
        tee,
        initData: configuration.initDataText,
        clock,
      })
      const responder = createResponder({
        form: await evidenceForm(tee, configuration.manifest, clock, quoteProgram),
        peer: configuration.initPin,
        initDataDigest: configuration.initDataDigest,
        now: progress,
      })
      this.#state = { at: 'ready', configuration, clock, broker, responder }
      // whoever is needed at once pays for it when it is used
      this.#rehearsal = this.#environment.later?.((signal) => this.#rehearse(signal))
      return {}
    } catch (error) {
      this.#state = { at: 'failed' }
      throw error
    }
  }

  // An agent that cannot rehearse can still work; its log says that there is a defect.
  async #rehearse(signal: AbortSignal): Promise<void> {
    try {
      await rehearse(this.#environment.platform, signal)
    } catch (error) {
      if (signal.aborted) return
      this.#environment.log({ code: 'INTERNAL', text: `rehearsal: ${causes(error)}` })
    }
  }

  async #attest(input: AttestRequest, { signal }: CallContext): Promise<AttestResult> {
    this.#rehearsal?.cancel()
    const { broker } = this.#ready()
    const { tee } = this.#environment
    if (input.reportData.length > MAX_CALLER_DATA) {
      throw new AgentError('AGENT_REQUEST_INVALID', 'attesting: report data has over 64 bytes')
    }
    this.#progress.add({ step: 'attest' })
    const token = await broker.token({ signal })
    const resource = input.resource === '' ? undefined : await this.#reveal(input.resource, signal)
    const quote =
      input.reportData.length === 0
        ? undefined
        : await tee.quote(callerReportData(input.reportData))
    return {
      platform: tee.platform,
      token: token.jwt,
      claims: token.claims,
      ...(token.decisionId === undefined ? {} : { decisionId: token.decisionId }),
      ...(resource === undefined ? {} : { resource: toBase64(resource) }),
      ...(quote === undefined ? {} : { quote: toBase64(quote) }),
    }
  }

  /** A resource for the eyes of the host: only where the owner's launch policy says so. */
  async #reveal(uri: string, signal: AbortSignal): Promise<Uint8Array> {
    const { broker, configuration } = this.#ready()
    const { initData } = configuration
    const { namespace } = initData.broker
    const resource = parseResourceUri(uri)
    const policy = await broker.findResource(initData.resources.launchPolicy, { signal })
    const text = policy === undefined ? LAUNCH_DEFAULT : fromUtf8(policy, 'launch policy')
    const { platform } = this.#environment.tee
    const { allowed, next } = ask(text, { action: 'reveal', resource, namespace, platform })
    // The namespace is ours to check too: a policy text must not open another owner's resources.
    if (!allowed || resource.namespace !== namespace) {
      throw new AgentError('RESOURCE_REVEAL_REFUSED', `showing ${uri} to the host: refused`, {
        ...(next === undefined ? {} : { next }),
      })
    }
    return await broker.resource(resource, { signal })
  }

  async #prepare(input: PrepareRequest, { signal }: CallContext): Promise<PrepareReply> {
    this.#rehearsal?.cancel()
    const { clock, broker, configuration, responder } = this.#ready()
    if (this.#work !== 'idle') throw outOfOrder('its container is prepared already')
    const { containerId, podId } = input
    if (!CONTAINER_ID.test(containerId) || !CONTAINER_ID.test(podId)) {
      throw new AgentError('AGENT_REQUEST_INVALID', 'preparing: container or pod id is malformed')
    }
    const { registryNetwork, sealLayers, platform, tee } = this.#environment
    this.#work = 'preparing'
    try {
      const { payload, result } = await prepare(
        {
          broker,
          initData: configuration.initData,
          initDataDigest: configuration.initDataDigest,
          network: registryNetwork,
          now: () => clock.now(),
          progress: this.#progress,
          sealLayers,
          teePlatform: tee.platform,
          platform,
          signal,
        },
        {
          containerId,
          podId,
          reference: imageOf(input.image),
          request: parseHostRequest(input.request),
        },
      )
      try {
        const { manifestDigest } = result
        const launchId = responder.offer({ podId, containerId, manifestDigest, payload })
        this.#work = 'prepared'
        return { launchId, json: utf8(JSON.stringify(result)) }
      } finally {
        wipePayload(payload)
      }
    } catch (error) {
      this.#work = 'idle'
      this.#environment.log({
        code: isCoded(error) ? error.code : 'INTERNAL',
        container: containerId,
      })
      throw error
    }
  }

  async #report(json: Uint8Array, { signal }: CallContext): Promise<object> {
    const { broker } = this.#ready()
    if (++this.#reports > MAX_REPORTS) throw outOfOrder('it has passed on enough reports')
    const said = object(parseJson(json, { maxBytes: 65_536, name: 'report' }), 'report')
    const code = string(said.code, 'report.code', { pattern: /^[A-Z][A-Z0-9_]{1,63}$/ })
    const message = optional(said.message, (v) => string(v, 'report.message', { max: 2048 })) ?? ''
    await this.#tell(broker, code, message, signal)
    return {}
  }

  /** Tells the owner of an event of the node; the host relayed it, and the entry says so. */
  async #tell(broker: Broker, code: string, message: string, signal?: AbortSignal): Promise<void> {
    const claims = [{ name: 'reported by the host', expected: [], actual: message, ok: false }]
    try {
      await broker.reportDecision(
        { decision: 'deny', code, subject: 'runtime event', claims, policyIds: [] },
        signal === undefined ? {} : { signal },
      )
    } catch (error) {
      this.#environment.log({ code: isCoded(error) ? error.code : 'INTERNAL', text: causes(error) })
    }
  }

  #ready(): Ready {
    if (this.#state.at !== 'ready') throw outOfOrder('it is not configured')
    return this.#state
  }
}

/**
 * The image that the host asks for. A host name has one spelling here: registries do not care for case,
 * but rules about one (`blocked`, scopes of policy.json, forbids) compare text.
 */
function imageOf(text: string): Reference {
  const reference = parseReference(text)
  if (reference.host === reference.host.toLowerCase()) return reference
  throw new AgentError(
    'AGENT_REQUEST_INVALID',
    'preparing: the host in the name of an image is written in lower case',
  )
}

/** Report data of a quote over a caller's data: SHA-512(e(domain) ‖ e(data)), never the data itself. */
export function callerReportData(data: Uint8Array): Uint8Array {
  const bound = new Writer().lengthPrefixed(CALLER_DATA).lengthPrefixed(data).finish()
  return new Uint8Array(createHash('sha512').update(bound).digest())
}

function document(value: unknown): { readonly json: Uint8Array } {
  return { json: utf8(JSON.stringify(value)) }
}

function outOfOrder(found: string): AgentError {
  return new AgentError('AGENT_STATE', `calling the agent: ${found}`)
}
