import { type JsonValue, parseJson } from '#lib/json'
import { KbsError } from './kbs-error.ts'

/** One request with its whole body, bounded before it is read. */
export interface BrokerRequest {
  readonly method: string
  /** Segments after `/kbs/v0/`, percent-decoded. */
  readonly path: readonly string[]
  readonly query: URLSearchParams
  readonly authorization: string | undefined
  readonly cookie: string | undefined
  readonly ifNoneMatch: string | undefined
  /** Proof of a decision report. */
  readonly proof: string | undefined
  readonly body: Uint8Array
  /** The connection is encrypted. */
  readonly secure: boolean
}

/** One answer. */
export interface BrokerReply {
  readonly status: number
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: Uint8Array | string
}

/** 200 with a JSON document. */
export function jsonReply(document: unknown, headers: Record<string, string> = {}): BrokerReply {
  return { status: 200, type: 'application/json', headers, body: JSON.stringify(document) }
}

/** The body as JSON. Throws FormatError. */
export function jsonBody(request: BrokerRequest): JsonValue {
  return parseJson(request.body, { name: 'request body' })
}

/** The token of `Authorization: Bearer`, if that header is there. Throws KBS_TOKEN_INVALID. */
export function bearer(request: BrokerRequest): string | undefined {
  if (request.authorization === undefined) return undefined
  const token = /^Bearer ([A-Za-z0-9_.~+/=-]{1,262144})$/i.exec(request.authorization)?.[1]
  if (token === undefined) {
    throw new KbsError('KBS_TOKEN_INVALID', 'reading Authorization: it holds no bearer token')
  }
  return token
}

/** The value of one cookie, if it is there once. */
export function cookie(request: BrokerRequest, name: string): string | undefined {
  const found = (request.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
  return found.length === 1 ? found[0]?.slice(name.length + 1) : undefined
}
