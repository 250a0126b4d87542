import { contentType, discard, type HttpResponse, header, readBody } from '#lib/http'
import {
  checkContent,
  type Descriptor,
  digestAlgorithm,
  digestOf,
  isDigest,
  MANIFEST_ACCEPT,
  MAX_MANIFEST_SIZE,
  type Manifest,
  OciError,
  parseManifest,
} from '#lib/oci'
import { invalidAnswer, refusal } from './answer.ts'
import { plain } from './blob-reader.ts'
import type { Session } from './session.ts'

/** A manifest or index as it was served. */
export interface RemoteManifest {
  /** The exact bytes; the digest names them and nothing else. */
  readonly bytes: Uint8Array
  readonly mediaType: string
  readonly digest: string
  readonly manifest: Manifest
}

/** What `readManifest` reads. */
export interface ManifestRequest {
  readonly session: Session
  readonly repository: string
  readonly scopes: readonly string[]
  /** A tag or a digest. */
  readonly name: string
  /** The entry that lists it, if it is read because of one. */
  readonly entry?: Descriptor | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads a manifest; undefined if the registry has none of that name. By digest, the bytes
 * must have it. By tag, the digest is that of the bytes: the header with a digest is a hint
 * of the server, which may only agree. With `entry`, size and media type must be the
 * entry's too.
 */
export async function readManifest(request: ManifestRequest): Promise<RemoteManifest | undefined> {
  const { name, entry } = request
  const attempt = `reading manifest ${name}`
  const { response } = await request.session.send({
    method: 'GET',
    url: `/v2/${request.repository}/manifests/${name}`,
    headers: { accept: MANIFEST_ACCEPT.join(', ') },
    scopes: request.scopes,
    signal: request.signal,
  })
  if (response.status === 404) {
    await discard(response)
    return undefined
  }
  if (response.status !== 200) throw await refusal(response, attempt)
  const bytes = await readBody(await plain(response, attempt), MAX_MANIFEST_SIZE)
  if (bytes === undefined) throw invalidAnswer(attempt, 'the answer is longer than 4 MiB')
  if (entry !== undefined) checkContent(bytes, entry, `manifest ${entry.digest}`)
  const digest = nameBytes(bytes, name, response)
  const served = contentType(response)
  if (entry === undefined) {
    const manifest = parseManifest(bytes, served)
    return { bytes, digest, mediaType: manifest.mediaType, manifest }
  }
  // Both carriers have a word: the list that led here, and the server. Each must fit.
  const manifest = parseManifest(bytes, entry.mediaType)
  const second = parseManifest(bytes, served)
  if (second.mediaType !== manifest.mediaType) {
    throw new OciError(
      'IMAGE_MANIFEST_AMBIGUOUS',
      `${attempt}: it is listed as ${manifest.mediaType} and served as ${second.mediaType}`,
    )
  }
  return { bytes, digest, mediaType: manifest.mediaType, manifest }
}

function nameBytes(bytes: Uint8Array, name: string, response: HttpResponse): string {
  if (isDigest(name)) {
    checkContent(bytes, { digest: name, size: bytes.length }, `manifest ${name}`)
    return name
  }
  const digest = digestOf(bytes)
  const hint = header(response, 'docker-content-digest')
  if (hint !== undefined && isDigest(hint) && digestAlgorithm(hint) === 'sha256') {
    checkContent(bytes, { digest: hint, size: bytes.length }, `manifest ${name}`)
  }
  return digest
}
