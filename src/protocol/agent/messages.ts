import { bool, bytes, type Codec, int32, message, string, uint32, uint64 } from '#lib/protobuf'

/** First call to agent and init: what the enclave must find to be its own (own-protocols 1 and 9). */
export interface ConfigureRequest {
  /** The init-data document, exact bytes; its SHA-256 is the enclave's CONFIGID. */
  readonly initData: Uint8Array
  /** JCS of the enclave manifest, exact bytes; its SHA-256 is the enclave's MRENCLAVE. */
  readonly manifest: Uint8Array
}

/** What the host expects a launch to want, so that it can be made meanwhile; answered when it is there. It decides nothing. */
export interface PrepareScratchRequest {
  /** Bytes of an encrypted scratch on disk. */
  readonly size: bigint
}

/** Asks the agent to attest to its broker. */
export interface AttestRequest {
  /** `kbs:///NS/TYPE/TAG` to read after attestation; empty for none. */
  readonly resource: string
  /** Up to 64 bytes that the answer's quote binds, domain-separated; empty for none. */
  readonly reportData: Uint8Array
  /** Show causes of refusals to the host; honoured on the simulated platform only. */
  readonly explain: boolean
}

/** One JSON document. */
export interface JsonDocument {
  readonly json: Uint8Array
}

/** Asks the agent to judge, fetch and seal an image for one container. */
export interface PrepareRequest {
  readonly containerId: string
  readonly podId: string
  /** Image reference: a wish, the launch policy decides. */
  readonly image: string
  /** `HostRequest` as JSON. */
  readonly request: Uint8Array
}

/** What the host learns of a prepared container. */
export interface PrepareReply {
  /** 32 bytes that init presents to fetch keys; worthless to anybody but that init. */
  readonly launchId: Uint8Array
  /** `PrepareResult` as JSON. */
  readonly json: Uint8Array
}

/** Asks for progress events after a sequence number; answered when there is one. */
export interface EventsRequest {
  readonly after: bigint
}

/** One handover message, or none (own-protocols 7). */
export interface HandoverMessage {
  readonly message: Uint8Array
}

/** Starts init's handover. */
export interface BeginRequest {
  readonly launchId: Uint8Array
}

/** The container was started. */
export interface StartReply {
  /** Process id of the container's first process, as the host sees it. */
  readonly pid: number
}

/** The container has ended. */
export interface WaitReply {
  readonly exitCode: number
  /** Signal that ended it, or 0. */
  readonly signal: number
  /** A code such as ROOTFS_TAMPERED where init ended it itself, else empty. */
  readonly code: string
  readonly message: string
  /** Of ROOTFS_TAMPERED: name of the sealed file that was damaged, or `scratch`; empty: not known. */
  readonly damaged: string
}

/** Signals the container. */
export interface KillRequest {
  readonly signal: number
  /** Every process of the container instead of the first. */
  readonly all: boolean
}

const name = (message: string): string => `enclave_cc.agent.v1.${message}`

/** Codec of `ConfigureRequest`. */
export const configureRequest: Codec<ConfigureRequest> = message(name('ConfigureRequest'), {
  initData: bytes(1),
  manifest: bytes(2),
})

/** Codec of `PrepareScratchRequest`. */
export const prepareScratchRequest: Codec<PrepareScratchRequest> = message(
  name('PrepareScratchRequest'),
  { size: uint64(1) },
)

/** Codec of `AttestRequest`. */
export const attestRequest: Codec<AttestRequest> = message(name('AttestRequest'), {
  resource: string(1),
  reportData: bytes(2),
  explain: bool(3),
})

/** Codec of `JsonDocument`. */
export const jsonDocument: Codec<JsonDocument> = message(name('JsonDocument'), { json: bytes(1) })

/** Codec of `PrepareRequest`. */
export const prepareRequest: Codec<PrepareRequest> = message(name('PrepareRequest'), {
  containerId: string(1),
  podId: string(2),
  image: string(3),
  request: bytes(4),
})

/** Codec of `PrepareReply`. */
export const prepareReply: Codec<PrepareReply> = message(name('PrepareReply'), {
  launchId: bytes(1),
  json: bytes(2),
})

/** Codec of `EventsRequest`. */
export const eventsRequest: Codec<EventsRequest> = message(name('EventsRequest'), {
  after: uint64(1),
})

/** Codec of `HandoverMessage`. */
export const handoverMessage: Codec<HandoverMessage> = message(name('HandoverMessage'), {
  message: bytes(1),
})

/** Codec of `BeginRequest`. */
export const beginRequest: Codec<BeginRequest> = message(name('BeginRequest'), {
  launchId: bytes(1),
})

/** Codec of `StartReply`. */
export const startReply: Codec<StartReply> = message(name('StartReply'), { pid: uint32(1) })

/** Codec of `WaitReply`. */
export const waitReply: Codec<WaitReply> = message(name('WaitReply'), {
  exitCode: int32(1),
  signal: int32(2),
  code: string(3),
  message: string(4),
  damaged: string(5),
})

/** Codec of `KillRequest`. */
export const killRequest: Codec<KillRequest> = message(name('KillRequest'), {
  signal: uint32(1),
  all: bool(2),
})
