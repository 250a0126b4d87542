/** Answer of Attest. */
export interface AttestResult {
  readonly platform: 'simulated' | 'sgx'
  /** The broker's attestation token, a JWT. */
  readonly token: string
  /** The token's claims. */
  readonly claims: Readonly<Record<string, unknown>>
  /** The broker's id of the decision, for `enclave-cc kbs explain`. */
  readonly decisionId?: string
  /** Base64 of the resource asked for, where the launch policy lets the enclave reveal it. */
  readonly resource?: string
  /** Base64 of a quote over the caller's report data, where some was given (docs/formats/agent-protocol.md). */
  readonly quote?: string
}

/** A layer of a prepared image. */
export interface PreparedLayer {
  readonly digest: string
  /** Nothing was fetched: the node had it sealed already. */
  readonly cached: boolean
  /** Name of its sealed file, in the pod's spool or in the node's cache. */
  readonly file: string
}

/** Answer of Prepare, beside the launch id. */
export interface PrepareResult {
  /** `sha256:…` of the image's manifest, as verified. */
  readonly manifestDigest: string
  /** The reference in full, as judged. */
  readonly reference: string
  /** The broker's ids of the decisions taken. */
  readonly decisionIds: readonly string[]
  readonly layers: readonly PreparedLayer[]
  /** Whether the host may see the container's output. */
  readonly stdio: 'plain' | 'drop'
  /** What the container can write to: how it is kept, and how many bytes of it there may be. */
  readonly mounts: readonly {
    readonly destination: string
    readonly kind: 'disk' | 'tmpfs'
    readonly size: number
  }[]
}

/** A step of the agent's work that begins or goes on, for people; never content of an image. */
export interface ProgressEvent {
  /** Grows by one; ask for events after it. */
  readonly seq: number
  readonly step:
    | 'attest'
    | 'policy'
    | 'manifest'
    | 'signature'
    | 'launch'
    | 'keys'
    | 'layer'
    | 'ready'
  readonly text?: string
  /** Bytes so far, for `layer`. */
  readonly done?: number
  /** Bytes in all, for `layer`. */
  readonly total?: number
}
