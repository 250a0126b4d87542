import { utf8 } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { HttpError, type HttpMethod, type HttpResponse, readBody, type Transport } from '#lib/http'
import { type JsonValue, parseJson } from '#lib/json'
import { KBS_PREFIX } from '#protocol/kbs'
import { answerInvalid, refusal, unreachable } from './broker-error.ts'

/** How requests reach the broker. The transport accepts the pinned keys and no others. */
export interface BrokerWire {
  /** `https://host[:port]`. */
  readonly url: string
  readonly transport: Transport
}

/** One request to the broker. */
export interface BrokerRequest {
  readonly method: HttpMethod
  /** Path below `/kbs/v0/`. */
  readonly path: string
  /** What is attempted, for error texts: `attesting`. */
  readonly attempt: string
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: JsonValue
  /** JSON as exact bytes, in place of `json`. */
  readonly document?: Uint8Array
  /** Largest answer in bytes. */
  readonly max?: number
  readonly signal?: AbortSignal | undefined
}

/** A successful answer. */
export interface BrokerAnswer {
  readonly response: HttpResponse
  readonly body: Uint8Array
}

const REQUEST_MS = 60_000
const MAX_ANSWER = 1024 * 1024
const USER_AGENT = 'enclave-cc-agent'

/** Sends one request. Throws BrokerError, and HttpError TLS_… for a server that is not trusted. */
export async function exchange(wire: BrokerWire, request: BrokerRequest): Promise<BrokerAnswer> {
  const limit = AbortSignal.timeout(REQUEST_MS)
  const { signal } = request
  const body = request.json === undefined ? request.document : utf8(JSON.stringify(request.json))
  const answered = wire.transport({
    method: request.method,
    url: new URL(`${KBS_PREFIX}/${request.path}`, wire.url),
    headers: {
      accept: 'application/json',
      'user-agent': USER_AGENT,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...request.headers,
    },
    ...(body === undefined ? {} : { body }),
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
  })
  const { response, content } = await reached(wire, request.attempt, async () => {
    const response = await answered
    return { response, content: await readBody(response, request.max ?? MAX_ANSWER) }
  })
  if (content === undefined) throw answerInvalid(request.attempt, 'the answer is too long')
  if (response.status >= 200 && response.status < 300) return { response, body: content }
  throw refusal(request.attempt, response.status, content)
}

/** Failures of the network under the name of what they mean here; those of trust keep theirs. */
async function reached<T>(wire: BrokerWire, attempt: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause) {
    const timeout = cause instanceof DOMException && cause.name === 'TimeoutError'
    const network = cause instanceof HttpError && cause.code.startsWith('NETWORK_')
    if (!timeout && !network) throw cause
    throw unreachable(attempt, wire.url, cause)
  }
}

/** The answer's body as JSON, read by `parse`. Throws KBS_ANSWER_INVALID. */
export function answerJson<T>(attempt: string, body: Uint8Array, parse: (json: unknown) => T): T {
  try {
    return parse(parseJson(body, { maxBytes: 16 * 1024 * 1024, name: 'answer' }))
  } catch (cause) {
    if (!isCoded(cause)) throw cause
    throw answerInvalid(attempt, cause.message, cause)
  }
}
