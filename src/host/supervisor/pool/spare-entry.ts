import { integer, object, oneOf, parseJson, string } from '#lib/json'
import { jsonLine } from '#lib/json-lines'

/** What a spare tells of itself: `STATE/pool/KEY/ID.json`. Nothing secret. */
export interface SpareEntry {
  /** 8 hex digits. */
  readonly id: string
  /** `ready` once its enclaves are configured and it can be claimed. */
  readonly state: 'starting' | 'ready'
  /** RFC 3339. */
  readonly createdAt: string
  /** Hex, of the init-data. */
  readonly initDataDigest: string
  /** Hex, of the agent. */
  readonly mrEnclave: string
  readonly supervisorPid: number
  /** Start time of the supervisor in clock ticks, so that a reused pid is not taken for it. */
  readonly supervisorStart: string
  /** Process ids; 0 where there is none yet. */
  readonly agentPid: number
  readonly initPid: number
}

/** Names of spares. */
export const SPARE_ID: RegExp = /^[0-9a-f]{8}$/
/** Most bytes of an entry. */
export const MAX_ENTRY = 4096

/** The bytes of an entry. */
export function entryBytes(entry: SpareEntry): Uint8Array<ArrayBuffer> {
  return jsonLine(entry)
}

/** Parses an entry. Throws FormatError. */
export function parseEntry(bytes: Uint8Array): SpareEntry {
  const e = object(parseJson(bytes, { maxBytes: MAX_ENTRY }), 'spare')
  const digest = (name: string): string =>
    string(e[name], `spare.${name}`, { pattern: /^[0-9a-f]{64}$/ })
  const pid = (name: string): number => integer(e[name], `spare.${name}`)
  return {
    id: string(e.id, 'spare.id', { pattern: SPARE_ID }),
    state: oneOf(e.state, 'spare.state', ['starting', 'ready']),
    createdAt: string(e.createdAt, 'spare.createdAt', { max: 64 }),
    initDataDigest: digest('initDataDigest'),
    mrEnclave: digest('mrEnclave'),
    supervisorPid: pid('supervisorPid'),
    supervisorStart: string(e.supervisorStart, 'spare.supervisorStart', { pattern: /^\d{1,20}$/ }),
    agentPid: pid('agentPid'),
    initPid: pid('initPid'),
  }
}
