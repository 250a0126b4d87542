import { contentType, discard, headers, readBody } from '#lib/http'
import {
  type Descriptor,
  digestHex,
  type ImageIndex,
  MAX_MANIFEST_SIZE,
  MEDIA_TYPES,
  parseImageIndex,
} from '#lib/oci'
import { invalidAnswer, refusal } from './answer.ts'
import { plain } from './blob-reader.ts'
import { nextLink, resolveLocation } from './location.ts'
import { readManifest } from './manifest-reader.ts'
import type { Session } from './session.ts'

/** Which referrers are asked for. */
export interface ReferrersRequest {
  readonly session: Session
  readonly repository: string
  readonly scopes: readonly string[]
  readonly digest: string
  readonly signal?: AbortSignal | undefined
}

const MAX_PAGES = 32
const MAX_REFERRERS = 4096

/**
 * All manifests that name `digest` as their subject: through the referrers interface, or where
 * the registry has none, through the tag `<algorithm>-<hex>`. The list is not filtered: cosign
 * puts artifact types where filters do not look. A registry may hide entries: absence proves
 * nothing.
 */
export async function listReferrers(request: ReferrersRequest): Promise<readonly Descriptor[]> {
  const found: Descriptor[] = []
  let url: URL | string | undefined = `/v2/${request.repository}/referrers/${request.digest}`
  for (let page = 0; url !== undefined; page++) {
    if (page >= MAX_PAGES || found.length > MAX_REFERRERS) {
      throw invalidAnswer(`reading referrers of ${request.digest}`, 'there is no end of them')
    }
    const next: Page | undefined = await readPage(request, url)
    if (next === undefined) {
      if (page > 0)
        throw invalidAnswer(`reading referrers of ${request.digest}`, 'a page is missing')
      return (await readFallback(request))?.manifests ?? []
    }
    found.push(...next.index.manifests)
    url = next.next
  }
  return found
}

/** The tag under which clients of old registries keep the referrers of a digest. */
export function referrersTag(digest: string): string {
  const algorithm = digest.slice(0, digest.indexOf(':')).slice(0, 32)
  return `${algorithm}-${digestHex(digest).slice(0, 64)}`.replace(/[^A-Za-z0-9._-]/g, '-')
}

/** The index under the fallback tag; undefined if there is none. */
export async function readFallback(request: ReferrersRequest): Promise<ImageIndex | undefined> {
  const found = await readManifest({ ...request, name: referrersTag(request.digest) })
  return found === undefined ? undefined : parseImageIndex(found.bytes, found.mediaType)
}

interface Page {
  readonly index: ImageIndex
  readonly next: URL | undefined
}

// Undefined: the registry does not know the interface (404, or an answer that is no index).
async function readPage(request: ReferrersRequest, from: URL | string): Promise<Page | undefined> {
  const attempt = `reading referrers of ${request.digest}`
  const { response, url } = await request.session.send({
    method: 'GET',
    url: from,
    headers: { accept: MEDIA_TYPES.ociIndex },
    scopes: request.scopes,
    signal: request.signal,
  })
  if (response.status === 404 || contentType(response) !== MEDIA_TYPES.ociIndex) {
    if (response.status >= 500 || response.status === 401 || response.status === 403) {
      throw await refusal(response, attempt)
    }
    await discard(response)
    return undefined
  }
  if (response.status !== 200) throw await refusal(response, attempt)
  const link = nextLink(headers(response, 'link'))
  const bytes = await readBody(await plain(response, attempt), MAX_MANIFEST_SIZE)
  if (bytes === undefined) throw invalidAnswer(attempt, 'the answer is longer than 4 MiB')
  const next = link === undefined ? undefined : resolveLocation(url, link)
  if (next !== undefined && next.origin !== url.origin) {
    throw invalidAnswer(attempt, 'the next page is on another host')
  }
  return { index: parseImageIndex(bytes, MEDIA_TYPES.ociIndex), next }
}
