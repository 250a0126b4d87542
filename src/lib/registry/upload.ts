import { concat } from '#lib/bytes'
import { discard, type HttpResponse, header } from '#lib/http'
import { type ContentName, verified } from '#lib/oci'
import { invalidAnswer, refusal } from './answer.ts'
import { hashed } from './hashed.ts'
import { resolveLocation } from './location.ts'
import type { Session } from './session.ts'

/** Where and how a blob is pushed. */
export interface UploadRequest {
  readonly session: Session
  readonly repository: string
  readonly scopes: readonly string[]
  readonly signal?: AbortSignal | undefined
  /** Bytes of one PATCH; undefined sends one stream, which most registries take. */
  readonly chunkSize?: number | undefined
}

const ATTEMPT = 'pushing a blob'
/** Blobs up to this size are sent in one request with a body that can be repeated. */
const SMALL = 1024 * 1024
const MAX_CHUNK = 64 * 1024 * 1024

/** True if the repository has the blob. */
export async function hasBlob(request: UploadRequest, digest: string): Promise<boolean> {
  const { response } = await request.session.send({
    method: 'HEAD',
    url: `/v2/${request.repository}/blobs/${digest}`,
    scopes: request.scopes,
    signal: request.signal,
  })
  await discard(response)
  if (response.status === 200) return true
  if (response.status === 404) return false
  throw await refusal(response, `looking for blob ${digest}`)
}

/**
 * Asks the registry to take the blob from another of its repositories. False if it would
 * not; the upload that it offers instead is cancelled.
 */
export async function mountBlob(
  request: UploadRequest,
  digest: string,
  from: string,
): Promise<boolean> {
  const query = new URLSearchParams({ mount: digest, from })
  const { response, url } = await request.session.send({
    method: 'POST',
    url: `/v2/${request.repository}/blobs/uploads/?${query}`,
    headers: { 'content-length': '0' },
    body: new Uint8Array(),
    scopes: [...request.scopes, `repository:${from}:pull`],
    signal: request.signal,
  })
  await discard(response)
  if (response.status === 202) await cancel(request, locationOf(response, url))
  return response.status === 201
}

/**
 * Pushes a blob and returns its name. With `known`, other content is refused before the
 * registry is asked to keep it. A stream cannot be read again: if it breaks, the upload is
 * cancelled and the error is the caller's.
 */
export async function pushBlob(
  request: UploadRequest,
  source: AsyncIterable<Uint8Array>,
  known: ContentName | undefined,
): Promise<ContentName> {
  const checked = known === undefined ? source : verified(source, known, `blob ${known.digest}`)
  if (known !== undefined && known.size <= SMALL) {
    const chunks: Uint8Array[] = []
    for await (const chunk of checked) chunks.push(chunk)
    return pushBytes(request, concat(...chunks), known)
  }
  const start = await startUpload(request)
  let location = start.location
  try {
    const running = hashed(checked)
    const chunkSize = Math.max(request.chunkSize ?? 0, start.minimum)
    if (chunkSize === 0) {
      location = await patch(request, location, running.bytes, {})
    } else {
      let at = 0
      for await (const chunk of chunked(running.bytes, chunkSize)) {
        const range = `${at}-${at + chunk.length - 1}`
        location = await patch(request, location, chunk, { 'content-range': range })
        at += chunk.length
      }
    }
    const name = known ?? running.name()
    await finish(request, location, name.digest, new Uint8Array())
    return name
  } catch (error) {
    await cancel(request, location)
    throw error
  }
}

async function pushBytes(
  request: UploadRequest,
  bytes: Uint8Array,
  name: ContentName,
): Promise<ContentName> {
  const { location } = await startUpload(request)
  await finish(request, location, name.digest, bytes)
  return { digest: name.digest, size: name.size }
}

async function startUpload(request: UploadRequest): Promise<{ location: URL; minimum: number }> {
  const { response, url } = await request.session.send({
    method: 'POST',
    url: `/v2/${request.repository}/blobs/uploads/`,
    headers: { 'content-length': '0' },
    body: new Uint8Array(),
    scopes: request.scopes,
    signal: request.signal,
  })
  if (response.status !== 202) throw await refusal(response, ATTEMPT)
  await discard(response)
  const minimum = Number(header(response, 'oci-chunk-min-length') ?? 0)
  if (!Number.isInteger(minimum) || minimum < 0 || minimum > MAX_CHUNK) {
    throw invalidAnswer(ATTEMPT, 'the registry wants chunks of an impossible size')
  }
  return { location: locationOf(response, url), minimum }
}

async function patch(
  request: UploadRequest,
  location: URL,
  body: Uint8Array | AsyncIterable<Uint8Array>,
  headers: Readonly<Record<string, string>>,
): Promise<URL> {
  const length = body instanceof Uint8Array ? { 'content-length': String(body.length) } : {}
  const { response, url } = await request.session.send({
    method: 'PATCH',
    url: location,
    headers: { 'content-type': 'application/octet-stream', ...length, ...headers },
    body,
    scopes: request.scopes,
    signal: request.signal,
  })
  // 2xx other than 202 is seen from old registries.
  if (response.status < 200 || response.status > 299) throw await refusal(response, ATTEMPT)
  await discard(response)
  return locationOf(response, url)
}

async function finish(
  request: UploadRequest,
  location: URL,
  digest: string,
  bytes: Uint8Array,
): Promise<void> {
  const url = new URL(location)
  url.searchParams.set('digest', digest)
  const { response } = await request.session.send({
    method: 'PUT',
    url,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(bytes.length),
    },
    body: bytes,
    scopes: request.scopes,
    signal: request.signal,
  })
  if (response.status !== 201) throw await refusal(response, ATTEMPT)
  await discard(response)
}

// Best effort: the registry ends sessions of its own, and the first error is the one to show.
async function cancel(request: UploadRequest, location: URL): Promise<void> {
  try {
    const { response } = await request.session.send({
      method: 'DELETE',
      url: location,
      scopes: request.scopes,
    })
    await discard(response)
  } catch {
    // See above.
  }
}

function locationOf(response: HttpResponse, url: URL): URL {
  return resolveLocation(url, header(response, 'location'))
}

async function* chunked(
  source: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Uint8Array[] = []
  let length = 0
  for await (const chunk of source) {
    held.push(chunk)
    length += chunk.length
    while (length >= size) {
      const whole = concat(...held)
      yield whole.subarray(0, size)
      held = [whole.subarray(size)]
      length -= size
    }
  }
  if (length > 0) yield concat(...held)
}
