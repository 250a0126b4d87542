/** Methods that our clients use. */
export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** One request. */
export interface HttpRequest {
  readonly method: HttpMethod
  readonly url: URL
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** A stream is sent with `Transfer-Encoding: chunked` unless `content-length` is given. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>
  readonly signal?: AbortSignal
  /** The server, not our configuration, chose the URL; address rules are stricter then. */
  readonly redirected?: boolean
}

/** One answer, with any status. */
export interface HttpResponse {
  readonly status: number
  /** Names in lower case; a name that came several times has an array. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /**
   * The content as it was on the wire (never decompressed), to be read once: to its end, or
   * left by `break`, which frees the connection. Throws `HttpError` if it ends too early.
   */
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * Sends one request and resolves when the head of the answer is there. Follows no redirect,
 * keeps no cookies, adds no credentials. Throws `HttpError`, or the reason of `signal`.
 */
export type Transport = (request: HttpRequest) => Promise<HttpResponse>
