import { utf8 } from '#lib/bytes'
import { HttpError, type HttpRequest, type HttpResponse, type Transport } from '#lib/http'
import { digestOf, isDigest, MEDIA_TYPES, parseManifest } from '#lib/oci'

/** What the registry remembers of a request, for tests that look for leaks. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly authorization: string | undefined
  readonly redirected: boolean
}

/** One repository's content. */
export interface TestRepository {
  readonly blobs: Map<string, Uint8Array>
  /** By digest. */
  readonly manifests: Map<string, { readonly bytes: Uint8Array; readonly mediaType: string }>
  readonly tags: Map<string, string>
}

/** Switches of a `TestRegistry`; each makes it more modern, stricter or hostile. */
export interface TestRegistryOptions {
  readonly origin?: string
  /** Demand `Bearer`, from a token server at this URL, for these accounts (empty: anonymous). */
  readonly tokens?: { readonly realm: string; readonly accounts: Readonly<Record<string, string>> }
  /** Demand `Basic`. */
  readonly basic?: { readonly username: string; readonly password: string }
  /** Know the referrers interface; default true. */
  readonly referrers?: boolean
  /** Known to take PATCH with a `Content-Range` only; sent as OCI-Chunk-Min-Length. */
  readonly chunkMinimum?: number
  /** Entries of one page of tags and referrers. */
  readonly pageSize?: number
}

/** Changes an answer, or replaces it; undefined leaves it. */
export type Intercept = (
  request: HttpRequest,
  answer: () => Promise<HttpResponse>,
) => Promise<HttpResponse> | HttpResponse | undefined

/**
 * A registry in memory behind the `Transport` interface, with the semantics of distribution
 * 1.1: uploads are sessions, ranges are served, tokens are checked. `intercept` turns it
 * hostile one answer at a time.
 */
export class TestRegistry {
  readonly origin: string
  readonly seen: SeenRequest[] = []
  readonly repositories: Map<string, TestRepository> = new Map()
  intercept: Intercept | undefined
  readonly #options: TestRegistryOptions
  readonly #uploads = new Map<string, Uint8Array[]>()
  readonly #tokens = new Map<string, readonly string[]>()
  #counter = 0

  constructor(options: TestRegistryOptions = {}) {
    this.#options = options
    this.origin = options.origin ?? 'https://registry.example'
  }

  /** The transport of clients. */
  readonly transport: Transport = async (request) => {
    request.signal?.throwIfAborted()
    const { authorization } = request.headers
    this.seen.push({
      method: request.method,
      url: request.url.href,
      authorization,
      redirected: request.redirected === true,
    })
    const answer = (): Promise<HttpResponse> => this.#answer(request)
    return (await this.intercept?.(request, answer)) ?? (await answer())
  }

  /** The repository, made if it is not there. */
  repository(name: string): TestRepository {
    const found = this.repositories.get(name)
    if (found !== undefined) return found
    const made = { blobs: new Map(), manifests: new Map(), tags: new Map() }
    this.repositories.set(name, made)
    return made
  }

  /** Stores a blob as if it had been pushed. */
  addBlob(name: string, bytes: Uint8Array): string {
    const digest = digestOf(bytes)
    this.repository(name).blobs.set(digest, bytes)
    return digest
  }

  /** Stores a manifest, valid or not, as if it had been pushed. */
  addManifest(name: string, bytes: Uint8Array, mediaType: string, tag?: string): string {
    const digest = digestOf(bytes)
    const repository = this.repository(name)
    repository.manifests.set(digest, { bytes, mediaType })
    if (tag !== undefined) repository.tags.set(tag, digest)
    return digest
  }

  /** Refuses every token that was issued. */
  forgetTokens(): void {
    this.#tokens.clear()
  }

  async #answer(request: HttpRequest): Promise<HttpResponse> {
    const { url } = request
    if (this.#options.tokens !== undefined && url.href.startsWith(this.#options.tokens.realm)) {
      return this.#issueToken(request)
    }
    if (url.origin !== this.origin) {
      throw new HttpError('NETWORK_UNREACHABLE', `connecting to ${url.host}: ENOTFOUND`)
    }
    const body = await collect(request.body)
    const match = /^\/v2\/(.+)\/(manifests|blobs|referrers|tags)\/(.*)$/.exec(url.pathname)
    if (match === null) return reply(url.pathname === '/v2/' ? 200 : 404)
    const [, name = '', kind, rest = ''] = match
    const refusal = this.#authorize(request, name)
    if (refusal !== undefined) return refusal
    if (kind === 'manifests') return this.#manifests(request, name, rest, body)
    if (kind === 'tags') return this.#listTags(url, name)
    if (kind === 'referrers') return this.#referrers(url, name, rest)
    if (rest.startsWith('uploads/')) return this.#upload(request, name, rest.slice(8), body)
    return this.#blobs(request, name, rest)
  }

  #authorize(request: HttpRequest, name: string): HttpResponse | undefined {
    const { tokens, basic } = this.#options
    const { authorization } = request.headers
    const writing = !['GET', 'HEAD'].includes(request.method)
    if (basic !== undefined) {
      const wanted = Buffer.from(`${basic.username}:${basic.password}`).toString('base64')
      if (authorization === `Basic ${wanted}`) return undefined
      return reply(401, { 'www-authenticate': 'Basic realm="test"' })
    }
    if (tokens === undefined) return undefined
    const scope = `repository:${name}:${writing ? 'pull,push' : 'pull'}`
    const granted = this.#tokens.get(authorization?.replace(/^Bearer /, '') ?? '')
    const need = (action: string): boolean =>
      granted?.some((one) => {
        const [type, repository, actions] = one.split(':')
        return type === 'repository' && repository === name && actions?.split(',').includes(action)
      }) === true
    if (granted !== undefined && need('pull') && (!writing || need('push'))) return undefined
    const error = granted === undefined ? '' : ',error="insufficient_scope"'
    return reply(401, {
      'www-authenticate': `Bearer realm="${tokens.realm}",service="test, quoted",scope="${scope}"${error}`,
    })
  }

  #issueToken(request: HttpRequest): HttpResponse {
    const accounts = this.#options.tokens?.accounts ?? {}
    let scopes = request.url.searchParams.getAll('scope')
    if (request.method === 'POST') {
      const form = new URLSearchParams(Buffer.from(request.body as Uint8Array).toString())
      if (form.get('refresh_token') !== 'identity') return reply(401)
      scopes = (form.get('scope') ?? '').split(' ')
    } else if (Object.keys(accounts).length > 0) {
      const given = request.headers.authorization?.replace(/^Basic /, '') ?? ''
      const [user = '', password] = Buffer.from(given, 'base64').toString().split(':')
      if (accounts[user] === undefined || accounts[user] !== password) return reply(401)
    }
    const token = `token-${++this.#counter}`
    this.#tokens.set(token, scopes)
    return json(200, { token, expires_in: 300 })
  }

  #manifests(
    request: HttpRequest,
    name: string,
    reference: string,
    body: Uint8Array,
  ): HttpResponse {
    const repository = this.repository(name)
    if (request.method === 'PUT') {
      const mediaType = request.headers['content-type'] ?? ''
      const missing = this.#missing(name, body, mediaType)
      if (missing !== undefined) return missing
      const tag = isDigest(reference) ? undefined : reference
      const digest = this.addManifest(name, body, mediaType, tag)
      const subject = parseManifest(body, mediaType).subject
      return reply(201, {
        'docker-content-digest': digest,
        ...(subject !== undefined && this.#options.referrers !== false
          ? { 'oci-subject': subject.digest }
          : {}),
      })
    }
    const digest = isDigest(reference) ? reference : repository.tags.get(reference)
    const found = digest === undefined ? undefined : repository.manifests.get(digest)
    if (found === undefined || digest === undefined) return failure(404, 'MANIFEST_UNKNOWN')
    const headers = { 'content-type': found.mediaType, 'docker-content-digest': digest }
    return reply(200, headers, request.method === 'HEAD' ? undefined : found.bytes)
  }

  #missing(name: string, body: Uint8Array, mediaType: string): HttpResponse | undefined {
    const { blobs, manifests } = this.repository(name)
    const manifest = parseManifest(body, mediaType)
    const complete =
      manifest.kind === 'index'
        ? manifest.manifests.every(({ digest }) => manifests.has(digest))
        : [manifest.config, ...manifest.layers].every(({ digest }) => blobs.has(digest))
    return complete ? undefined : failure(404, 'MANIFEST_BLOB_UNKNOWN')
  }

  #blobs(request: HttpRequest, name: string, digest: string): HttpResponse {
    const bytes = this.repository(name).blobs.get(digest)
    if (bytes === undefined) return failure(404, 'BLOB_UNKNOWN')
    if (request.method === 'HEAD') return reply(200, { 'content-length': String(bytes.length) })
    const start = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]
    if (start === undefined) return reply(200, {}, bytes)
    if (Number(start) >= bytes.length) return reply(416)
    const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`
    return reply(206, { 'content-range': range }, bytes.subarray(Number(start)))
  }

  #upload(request: HttpRequest, name: string, id: string, body: Uint8Array): HttpResponse {
    const { url } = request
    if (request.method === 'POST') return this.#startUpload(url, name)
    const parts = this.#uploads.get(id)
    if (parts === undefined) return failure(404, 'BLOB_UPLOAD_UNKNOWN')
    // The session's state travels in the query; a client that drops it is lost.
    if (url.searchParams.get('_state') !== id) return failure(400, 'BLOB_UPLOAD_INVALID')
    const have = parts.reduce((sum, part) => sum + part.length, 0)
    if (request.method === 'DELETE') {
      this.#uploads.delete(id)
      return reply(204)
    }
    const range = request.headers['content-range']
    if (request.method === 'PATCH') {
      if (this.#options.chunkMinimum !== undefined && range === undefined) return reply(416)
      if (range !== undefined && range !== `${have}-${have + body.length - 1}`) return reply(416)
    }
    parts.push(body)
    if (request.method === 'PATCH') return this.#uploadState(202, name, id)
    const whole = Buffer.concat(parts)
    const digest = url.searchParams.get('digest') ?? ''
    const algorithm = digest.startsWith('sha512:') ? 'sha512' : 'sha256'
    if (digestOf(whole, algorithm) !== digest) return failure(400, 'DIGEST_INVALID')
    this.#uploads.delete(id)
    this.repository(name).blobs.set(digest, new Uint8Array(whole))
    return reply(201, { location: `/v2/${name}/blobs/${digest}` })
  }

  #startUpload(url: URL, name: string): HttpResponse {
    const mount = url.searchParams.get('mount')
    const from = url.searchParams.get('from')
    const bytes = mount && from ? this.repositories.get(from)?.blobs.get(mount) : undefined
    if (bytes !== undefined && mount !== null) {
      this.repository(name).blobs.set(mount, bytes)
      return reply(201, { location: `/v2/${name}/blobs/${mount}` })
    }
    const id = `upload-${++this.#counter}`
    this.#uploads.set(id, [])
    return this.#uploadState(202, name, id)
  }

  #uploadState(status: number, name: string, id: string): HttpResponse {
    const minimum = this.#options.chunkMinimum
    return reply(status, {
      location: `/v2/${name}/blobs/uploads/${id}?_state=${id}`,
      ...(minimum === undefined ? {} : { 'oci-chunk-min-length': String(minimum) }),
    })
  }

  /** Upload sessions that were neither finished nor cancelled. */
  get openUploads(): number {
    return this.#uploads.size
  }

  #listTags(url: URL, name: string): HttpResponse {
    const all = [...this.repository(name).tags.keys()].sort()
    const after = url.searchParams.get('last')
    const rest = after === null ? all : all.filter((tag) => tag > after)
    const page = rest.slice(0, this.#options.pageSize ?? rest.length)
    const link = `</v2/${name}/tags/list?last=${page.at(-1)}>; rel="next"`
    return json(200, { name, tags: page }, page.length < rest.length ? { link } : {})
  }

  #referrers(url: URL, name: string, digest: string): HttpResponse {
    if (this.#options.referrers === false) return failure(404, 'NOT_FOUND')
    const all = [...this.repository(name).manifests].flatMap(([own, { bytes, mediaType }]) => {
      const manifest = parseManifest(bytes, mediaType)
      if (manifest.subject?.digest !== digest) return []
      return [{ mediaType, digest: own, size: bytes.length }]
    })
    const start = Number(url.searchParams.get('start') ?? 0)
    const end = start + (this.#options.pageSize ?? all.length)
    const link = `</v2/${name}/referrers/${digest}?start=${end}>; rel="next"`
    const index = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: all.slice(start, end),
    }
    const headers = { 'content-type': MEDIA_TYPES.ociIndex }
    return json(200, index, end < all.length ? { ...headers, link } : headers)
  }
}

/** An answer with a body in pieces of at most 64 KiB, as sockets deliver them. */
export function reply(
  status: number,
  headers: Readonly<Record<string, string>> = {},
  body: Uint8Array = new Uint8Array(),
): HttpResponse {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536)
  }
  return { status, headers, body: pieces() }
}

/** An answer whose connection breaks after `body`. */
export function broken(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): HttpResponse {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield body
    throw new HttpError('NETWORK_BROKEN', 'asking registry.example: ECONNRESET')
  }
  return { status, headers, body: pieces() }
}

function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  const body = utf8(JSON.stringify(value))
  return reply(status, { 'content-type': 'application/json', ...headers }, body)
}

function failure(status: number, code: string): HttpResponse {
  return json(status, { errors: [{ code, message: 'no\u001b[31m luck' }] })
}

async function collect(body: HttpRequest['body']): Promise<Uint8Array> {
  if (body === undefined || body instanceof Uint8Array) return body ?? new Uint8Array()
  const parts: Uint8Array[] = []
  for await (const part of body) parts.push(part)
  return new Uint8Array(Buffer.concat(parts))
}
