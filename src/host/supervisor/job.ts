import type { PoolSettings } from '#lib/command'
import type { ContainerRecord } from './record.ts'

/** What the supervisor needs for every job: places and the enclaves' inputs. */
export interface JobBase {
  readonly root: string
  readonly state: string
  /** Bytes that the node keeps of sealed layers; 0: none. */
  readonly cacheMaxSize: number
  /** Root of the mounted bundle image. */
  readonly bundleRoot: string
  /** Its folder below `STATE/bundles`, to give the mount up at the end. */
  readonly bundleDir: string
  /** Base64 of the init-data document, exact bytes. */
  readonly initData: string
  /** Bundle directory. */
  readonly bundle: string
  /** Where the document was read: a spare ends when it changes. */
  readonly initDataFile: string
}

/** What a pod is opened with. */
export type PodJob = Pick<JobBase, 'root' | 'bundle' | 'bundleRoot' | 'initData' | 'cacheMaxSize'>

/** Run one container. */
export interface RunJob extends JobBase {
  readonly kind: 'run'
  readonly explain: boolean
  readonly pool: PoolSettings & {
    /** `poolKey` as the command has it; undefined where there can be no pool. */
    readonly key?: string
  }
  readonly record: ContainerRecord
  /** Bytes of the encrypted scratch that its launch most likely wants; undefined: none. */
  readonly scratch?: number | undefined
  /** `HostRequest` of the agent protocol. */
  readonly request: Readonly<Record<string, unknown>>
  /** Remove the container's record when it ends. */
  readonly remove: boolean
  /** Send output over the channel as well as to the log. */
  readonly attach: boolean
}

/** Attest once. */
export interface AttestJob extends JobBase {
  readonly kind: 'attest'
  readonly explain: boolean
  readonly id: string
  readonly resource: string
  /** Hex, up to 64 bytes. */
  readonly reportData: string
}

/** Start enclaves and wait for a container that wants them. */
export interface SpareJob extends JobBase {
  readonly kind: 'spare'
  /** 8 hex digits. */
  readonly id: string
  readonly key: string
  /** As in the jobs of its key: it is made while the spare waits. */
  readonly scratch?: number | undefined
  /** Milliseconds that it outlives the last container of its key. */
  readonly linger: number
}

/** First line on the channel, from the command or supervisor to the supervisor that it started. */
export type Job = RunJob | AttestJob | SpareJob

/** Later lines from the command. */
export type JobOrder =
  /** To a spare that has answered `claimed`: it may begin. */
  | { readonly op: 'go' }
  | { readonly op: 'signal'; readonly signal: number }
  /** Give up: what has started meanwhile is ended and removed. */
  | { readonly op: 'cancel' }

/** Report of a failure, as the command prints it. */
export interface FailureReport {
  readonly code: string
  readonly message: string
  readonly next?: string
  readonly retryable?: boolean
  readonly correlationId?: string
  readonly details?: Readonly<Record<string, unknown>>
}

/** Lines from the supervisor. The last one is `failed`, `exit` or `attested`. */
export type JobEvent =
  | {
      readonly event: 'progress'
      readonly step: string
      readonly text?: string
      readonly done?: number
      readonly total?: number
    }
  /** First word of a spare to who comes to claim it. */
  | { readonly event: 'spare'; readonly key: string }
  /** Its answer to the job: told to go, it is the supervisor of that container. */
  | { readonly event: 'claimed' }
  | { readonly event: 'started'; readonly record: ContainerRecord }
  | { readonly event: 'output'; readonly stream: 'stdout' | 'stderr'; readonly data: string }
  | { readonly event: 'exit'; readonly record: ContainerRecord }
  | { readonly event: 'attested'; readonly document: Readonly<Record<string, unknown>> }
  | ({ readonly event: 'failed' } & FailureReport)
