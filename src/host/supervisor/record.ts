import { boolean, integer, object, oneOf, optional, parseJson, string, strings } from '#lib/json'
import { jsonLine } from '#lib/json-lines'
import { type ContainerMount, containerMount } from './enclave-answers.ts'

/** States of a container, as docker names them. */
export type ContainerState = 'created' | 'running' | 'exited'

/** What the node keeps of a container: `containers/ID/state.json`. Nothing secret. */
export interface ContainerRecord {
  /** 64 hex digits. */
  readonly id: string
  readonly name: string
  /** The reference as the user wrote it. */
  readonly image: string
  /** `sha256:…` of the verified manifest; empty until the agent verified it. */
  readonly digest: string
  /** The command that the user asked for, cut at `MAX_COMMAND`; empty: the image's own. */
  readonly command: string
  readonly state: ContainerState
  readonly exitCode?: number
  /** Code and sentence where the enclave ended the container itself. */
  readonly code?: string
  readonly message?: string
  /** RFC 3339. */
  readonly createdAt: string
  readonly startedAt?: string
  readonly finishedAt?: string
  readonly platform: 'simulated'
  readonly bundle: string
  /** Hex; of the agent. */
  readonly mrEnclave: string
  readonly decisionIds: readonly string[]
  readonly layers: readonly {
    readonly digest: string
    readonly cached: boolean
    /** Name of its sealed file; unknown in records of earlier versions. */
    readonly file?: string
  }[]
  /** What it can write to; empty until the agent has decided it. */
  readonly mounts: readonly ContainerMount[]
  /** Process ids; 0 where there is none. */
  readonly pid: number
  readonly agentPid: number
  readonly initPid: number
  readonly supervisorPid: number
  /**
   * Start time of the supervisor in clock ticks, so that a reused pid is not taken for it. Before it has
   * begun, both are those of the command that starts it.
   */
  readonly supervisorStart: string
  /** Seconds between TERM and KILL of `stop`. */
  readonly stopTimeout: number
}

/** Longest command in a record, in UTF-16 units: it is shown, not executed. */
export const MAX_COMMAND = 4096

const MAX_RECORD = 256 * 1024

/** The bytes of `state.json`. Throws RangeError on a record that could not be read again. */
export function recordBytes(record: ContainerRecord): Uint8Array<ArrayBuffer> {
  const bytes = jsonLine(record)
  if (bytes.length > MAX_RECORD) throw new RangeError('a container record over 256 KiB')
  return bytes
}

/** Parses `state.json`. Throws FormatError. */
export function parseRecord(bytes: Uint8Array): ContainerRecord {
  const r = object(parseJson(bytes, { maxBytes: MAX_RECORD }), 'record')
  const text = (name: string): string => string(r[name], `record.${name}`)
  const maybe = (name: string): string | undefined =>
    optional(r[name], (value) => string(value, `record.${name}`))
  const count = (name: string): number => integer(r[name], `record.${name}`)
  const layers = Array.isArray(r.layers) ? r.layers : []
  return {
    id: string(r.id, 'record.id', { pattern: /^[0-9a-f]{64}$/ }),
    name: text('name'),
    image: text('image'),
    digest: text('digest'),
    command: text('command'),
    state: oneOf(r.state, 'record.state', ['created', 'running', 'exited']),
    ...present(
      'exitCode',
      optional(r.exitCode, (value) => integer(value, 'record.exitCode')),
    ),
    ...present('code', maybe('code')),
    ...present('message', maybe('message')),
    createdAt: text('createdAt'),
    ...present('startedAt', maybe('startedAt')),
    ...present('finishedAt', maybe('finishedAt')),
    platform: oneOf(r.platform, 'record.platform', ['simulated']),
    bundle: text('bundle'),
    mrEnclave: text('mrEnclave'),
    decisionIds: strings(r.decisionIds, 'record.decisionIds'),
    layers: layers.map((layer) => {
      const l = object(layer, 'record.layers')
      return {
        digest: string(l.digest, 'digest'),
        cached: boolean(l.cached, 'cached'),
        ...present(
          'file',
          optional(l.file, (value) => string(value, 'file')),
        ),
      }
    }),
    mounts: (Array.isArray(r.mounts) ? r.mounts : []).map((mount) =>
      containerMount(mount, 'record.mounts'),
    ),
    pid: count('pid'),
    agentPid: count('agentPid'),
    initPid: count('initPid'),
    supervisorPid: count('supervisorPid'),
    supervisorStart: text('supervisorStart'),
    stopTimeout: count('stopTimeout'),
  }
}

function present<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: V })
}
