import { type Empty, empty } from '#lib/protobuf'
import type { Method, Service, ServiceClient, ServiceHandlers, TtrpcClient } from '#lib/ttrpc'
import { serviceClient } from '#lib/ttrpc'
import {
  type AttestRequest,
  attestRequest,
  type BeginRequest,
  beginRequest,
  type ConfigureRequest,
  configureRequest,
  type EventsRequest,
  eventsRequest,
  type HandoverMessage,
  handoverMessage,
  type JsonDocument,
  jsonDocument,
  type KillRequest,
  killRequest,
  type PrepareReply,
  type PrepareRequest,
  type PrepareScratchRequest,
  prepareReply,
  prepareRequest,
  prepareScratchRequest,
  type StartReply,
  startReply,
  type WaitReply,
  waitReply,
} from './messages.ts'
import { fromStatus } from './status.ts'

/** Methods of the agent enclave. */
export type AgentMethods = {
  /** Once, first. */
  readonly configure: Method<ConfigureRequest, Empty>
  /** Answers with `AttestResult`. */
  readonly attest: Method<AttestRequest, JsonDocument>
  readonly prepare: Method<PrepareRequest, PrepareReply>
  /** Long poll; answers with a list of `ProgressEvent`. */
  readonly events: Method<EventsRequest, JsonDocument>
  /** M1 → M2, M3 → M4, M5 → nothing. */
  readonly handover: Method<HandoverMessage, HandoverMessage>
  /** What init said, for the owner's log. */
  readonly report: Method<JsonDocument, Empty>
}

/** Methods of the init enclave. */
export type InitMethods = {
  /** Once, first. */
  readonly configure: Method<ConfigureRequest, Empty>
  /** Once, between Configure and Start; answered at once. */
  readonly prepareScratch: Method<PrepareScratchRequest, Empty>
  /** Answers with M1. */
  readonly begin: Method<BeginRequest, HandoverMessage>
  /** M2 → M3, M4 → M5. */
  readonly handover: Method<HandoverMessage, HandoverMessage>
  /** Mounts and starts the container; answered when its program runs. */
  readonly start: Method<Empty, StartReply>
  /** Answered when the container has ended. */
  readonly wait: Method<Empty, WaitReply>
  readonly kill: Method<KillRequest, Empty>
  /** Kills, unmounts, and ends the enclave. */
  readonly shutdown: Method<Empty, Empty>
}

/** `enclave_cc.agent.v1.Agent`. */
export const agentService: Service<AgentMethods> = {
  name: 'enclave_cc.agent.v1.Agent',
  methods: {
    configure: { name: 'Configure', input: configureRequest, output: empty },
    attest: { name: 'Attest', input: attestRequest, output: jsonDocument },
    prepare: { name: 'Prepare', input: prepareRequest, output: prepareReply },
    events: { name: 'Events', input: eventsRequest, output: jsonDocument },
    handover: { name: 'Handover', input: handoverMessage, output: handoverMessage },
    report: { name: 'Report', input: jsonDocument, output: empty },
  },
}

/** `enclave_cc.init.v1.Init`. */
export const initService: Service<InitMethods> = {
  name: 'enclave_cc.init.v1.Init',
  methods: {
    configure: { name: 'Configure', input: configureRequest, output: empty },
    prepareScratch: { name: 'PrepareScratch', input: prepareScratchRequest, output: empty },
    begin: { name: 'Begin', input: beginRequest, output: handoverMessage },
    handover: { name: 'Handover', input: handoverMessage, output: handoverMessage },
    start: { name: 'Start', input: empty, output: startReply },
    wait: { name: 'Wait', input: empty, output: waitReply },
    kill: { name: 'Kill', input: killRequest, output: empty },
    shutdown: { name: 'Shutdown', input: empty, output: empty },
  },
}

/** Typed calls of an agent enclave. They throw `RemoteError` for what the enclave refused. */
export type AgentClient = ServiceClient<AgentMethods>
/** What an agent enclave implements. */
export type AgentHandlers = ServiceHandlers<AgentMethods>
/** Typed calls of an init enclave. They throw `RemoteError` for what the enclave refused. */
export type InitClient = ServiceClient<InitMethods>
/** What an init enclave implements. */
export type InitHandlers = ServiceHandlers<InitMethods>

/** The agent behind a connection. */
export function agentClient(client: TtrpcClient): AgentClient {
  return serviceClient(agentService, client, fromStatus)
}

/** The init behind a connection. */
export function initClient(client: TtrpcClient): InitClient {
  return serviceClient(initService, client, fromStatus)
}
