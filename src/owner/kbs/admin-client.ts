import { utf8 } from '#lib/bytes'
import { codeRow } from '#lib/errors'
import { HttpError, type HttpMethod, type HttpResponse, readBody, type Transport } from '#lib/http'
import type { ResourceName } from '#lib/initdata'
import { base64, canonicalize, type JsonObject, type JsonValue, object, parseJson } from '#lib/json'
import { KBS_PREFIX, type Problem, parseProblem } from '#protocol/kbs'
import { KbsError } from './kbs-error.ts'

const MAX_ANSWER = 64 * 1024 * 1024

/** Where the broker is and how to reach it. */
export interface AdminClientOptions {
  readonly url: string
  readonly token: string
  readonly send: Transport
  readonly signal?: AbortSignal
}

/** What a call carries beside method and path. */
export interface AdminCall {
  readonly json?: unknown
  readonly bytes?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * The broker's administration as its clients see it. Refusals come back as KbsError with the
 * broker's code, message and next step; KBS_UNREACHABLE, KBS_TLS_UNTRUSTED and KBS_ANSWER_INVALID
 * are this side's.
 */
export class AdminClient {
  readonly #options: AdminClientOptions

  constructor(options: AdminClientOptions) {
    this.#options = options
  }

  /** The resource's bytes, or undefined if there is none. */
  async getResource(name: ResourceName): Promise<Uint8Array | undefined> {
    try {
      const answer = await this.call('GET', `resource/${segments(name)}`)
      return base64(object(answer, 'resource').value, 'value')
    } catch (error) {
      if (error instanceof KbsError && error.code === 'RESOURCE_NOT_FOUND') return undefined
      throw error
    }
  }

  /** Sets a resource. With `create`, throws RESOURCE_EXISTS if there is one. */
  async setResource(
    name: ResourceName,
    value: Uint8Array,
    options: { readonly create?: boolean } = {},
  ): Promise<JsonObject> {
    const headers = options.create === true ? { 'if-none-match': '*' } : {}
    const answer = await this.call('PUT', `resource/${segments(name)}`, { bytes: value, headers })
    return object(answer, 'resource')
  }

  /** One call of the administration: `path` is what follows `/kbs/v0/admin/`. */
  async call(method: HttpMethod, path: string, call: AdminCall = {}): Promise<JsonValue> {
    const { url, token, send, signal } = this.#options
    const body = call.json === undefined ? call.bytes : utf8(canonicalize(call.json))
    let response: HttpResponse
    let answer: Uint8Array | undefined
    try {
      response = await send({
        method,
        url: new URL(`${KBS_PREFIX}/admin/${path}`, url),
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-length': String(body.length) }),
          ...call.headers,
        },
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
      })
      answer = await readBody(response, MAX_ANSWER)
    } catch (cause) {
      throw cause instanceof HttpError ? unreachable(url, cause) : cause
    }
    if (answer === undefined) throw strange(url, 'its answer is too long')
    let document: JsonValue
    try {
      document = parseJson(answer, { maxBytes: MAX_ANSWER })
      if (response.status >= 400) throw refused(parseProblem(document), document)
    } catch (cause) {
      if (cause instanceof KbsError) throw cause
      throw strange(url, `status ${response.status}, not the broker's form`, cause)
    }
    return document
  }
}

function segments(name: ResourceName): string {
  return `${name.namespace}/${name.type}/${name.tag}`
}

function refused(problem: Problem, document: JsonValue): KbsError {
  const code = problem.code ?? 'KBS_ANSWER_INVALID'
  const details = object(document, 'problem').details
  return new KbsError(code as KbsError['code'], printable(problem.detail), {
    next: printable(problem.next ?? codeRow(code)?.next ?? ''),
    ...(problem.retryable === undefined ? {} : { retryable: problem.retryable }),
    ...(problem.correlationId === undefined
      ? {}
      : { correlationId: printable(problem.correlationId) }),
    ...(details === undefined ? {} : { details: object(details, 'details') }),
  })
}

function unreachable(url: string, cause: HttpError): KbsError {
  const code = cause.code.startsWith('TLS_') ? 'KBS_TLS_UNTRUSTED' : 'KBS_UNREACHABLE'
  return new KbsError(code, `calling the broker at ${url}: ${cause.message}`, { cause })
}

function strange(url: string, found: string, cause?: unknown): KbsError {
  return new KbsError('KBS_ANSWER_INVALID', `calling the broker at ${url}: ${found}`, { cause })
}

// An answer ends up on a terminal; whoever gives it may not be the broker.
function printable(text: string): string {
  return text.replace(/[^\P{C}\n]/gu, '\ufffd')
}
