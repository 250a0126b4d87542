import { discard, header, headers, readBody } from '#lib/http'
import { array, object, parseJson, string } from '#lib/json'
import {
  apiHost,
  type ContentName,
  checkDigest,
  type Descriptor,
  digestOf,
  encodeManifest,
  type ImageIndex,
  isDigest,
  isHost,
  isRepository,
  isTag,
  MEDIA_TYPES,
  parseManifest,
} from '#lib/oci'
import { invalidAnswer, refusal } from './answer.ts'
import { readBlob } from './blob-reader.ts'
import type { Credential } from './credential.ts'
import type { Wire } from './exchange.ts'
import { nextLink, resolveLocation } from './location.ts'
import { type RemoteManifest, readManifest } from './manifest-reader.ts'
import { listReferrers, readFallback, referrersTag } from './referrers.ts'
import { RegistryError } from './registry-error.ts'
import { Session } from './session.ts'
import { hasBlob, mountBlob, pushBlob } from './upload.ts'

/** Everything a registry client needs from outside. */
export interface RegistryClientOptions extends Wire {
  /** Logical host, `docker.io` or `host[:port]`. */
  readonly host: string
  readonly repository: string
  readonly credential?: Credential | undefined
  /** Speak HTTP without TLS; default false. */
  readonly plainHttp?: boolean
  /** May credentials go to this token server? Default: any under https. */
  readonly allowRealm?: (realm: URL) => boolean
  /** Ask for push rights at once; default false. */
  readonly push?: boolean
  /** Bytes of one PATCH of a push; default one stream. */
  readonly chunkSize?: number
  readonly signal?: AbortSignal
}

/** A client of one repository (OCI distribution specification 1.1). */
export interface RegistryClient {
  /** The manifest under a tag or digest. Throws `REGISTRY_NOT_FOUND`. */
  manifest(name: string): Promise<RemoteManifest>
  /** As `manifest`; undefined if there is none. */
  findManifest(name: string): Promise<RemoteManifest | undefined>
  /** The manifest of an entry of an index, checked against size, digest and type of the entry. */
  listedManifest(entry: Descriptor): Promise<RemoteManifest>
  /** The content of a blob, checked while it passes; throws at the end if it is not the named one. */
  blob(content: ContentName & Pick<Descriptor, 'data'>): AsyncIterable<Uint8Array>
  hasBlob(digest: string): Promise<boolean>
  /** Asks the registry to take a blob from another repository; false if it would not. */
  mountBlob(digest: string, from: string): Promise<boolean>
  pushBlob(source: AsyncIterable<Uint8Array>, known?: ContentName): Promise<ContentName>
  /**
   * Pushes a manifest under its digest, or a tag; with a `subject`, makes sure that it is found
   * among the referrers.
   */
  pushManifest(bytes: Uint8Array, mediaType: string, tag?: string): Promise<ContentName>
  /** All referrers of a digest, not filtered. */
  referrers(digest: string): Promise<readonly Descriptor[]>
  /** All tags of the repository. */
  tags(): Promise<readonly string[]>
}

const MAX_TAG_PAGES = 1000
const MAX_TAG_BODY = 4 * 1024 * 1024

/** Makes a client. Throws TypeError if host or repository break the grammar. */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const { repository, signal } = options
  if (!isHost(options.host) || !isRepository(repository)) {
    throw new TypeError('createRegistryClient() needs a parsed host and repository')
  }
  const scheme = options.plainHttp === true ? 'http' : 'https'
  const session = new Session({
    wire: { transport: options.transport, clock: options.clock },
    origin: new URL(`${scheme}://${apiHost(options.host)}`).origin,
    credential: options.credential,
    allowRealm: options.allowRealm,
  })
  const scopes = [`repository:${repository}:pull${options.push === true ? ',push' : ''}`]
  const common = { session, repository, scopes, signal }
  const upload = { ...common, chunkSize: options.chunkSize }

  const client: RegistryClient = {
    findManifest: (name) => readManifest({ ...common, name: checkName(name) }),
    manifest: async (name) => {
      const found = await client.findManifest(name)
      if (found === undefined) throw notFound(`${options.host}/${repository}`, name)
      return found
    },
    listedManifest: async (entry) => {
      const found = await readManifest({ ...common, name: checkName(entry.digest), entry })
      if (found === undefined) throw notFound(`${options.host}/${repository}`, entry.digest)
      return found
    },
    blob: (content) => {
      checkDigest(content.digest, 'blob')
      return readBlob({ ...common, descriptor: content })
    },
    hasBlob: (digest) => hasBlob(upload, checkDigest(digest, 'blob')),
    mountBlob: (digest, from) => mountBlob(upload, checkDigest(digest, 'blob'), from),
    pushBlob: (source, known) => pushBlob(upload, source, known),
    pushManifest: async (bytes, mediaType, tag) => {
      const { manifest, name, handled } = await putManifest(common, bytes, mediaType, tag)
      if (manifest.subject !== undefined && !handled) {
        await addReferrer(common, manifest.subject.digest, {
          ...name,
          mediaType,
          ...(manifest.annotations === undefined ? {} : { annotations: manifest.annotations }),
          ...artifactType(manifest),
        })
      }
      return name
    },
    referrers: (digest) => listReferrers({ ...common, digest: checkDigest(digest, 'subject') }),
    tags: () => listTags(common),
  }
  return client
}

type Common = Pick<
  Parameters<typeof readManifest>[0],
  'session' | 'repository' | 'scopes' | 'signal'
>

async function putManifest(
  common: Common,
  bytes: Uint8Array,
  mediaType: string,
  tag: string | undefined,
): Promise<{ manifest: ReturnType<typeof parseManifest>; name: ContentName; handled: boolean }> {
  const manifest = parseManifest(bytes, mediaType)
  const name = { digest: digestOf(bytes), size: bytes.length }
  const target = checkName(tag ?? name.digest)
  const { response } = await common.session.send({
    method: 'PUT',
    url: `/v2/${common.repository}/manifests/${target}`,
    headers: { 'content-type': mediaType, 'content-length': String(bytes.length) },
    body: bytes,
    scopes: common.scopes,
    signal: common.signal,
  })
  if (response.status !== 201) throw await refusal(response, `pushing manifest ${target}`)
  await discard(response)
  return { manifest, name, handled: header(response, 'oci-subject') !== undefined }
}

// The registry did not say that it keeps referrers, so they are kept under the fallback tag.
// Two writers at once can lose an entry there: the specification has no remedy.
async function addReferrer(common: Common, subject: string, entry: Descriptor): Promise<void> {
  const request = { ...common, digest: subject }
  const old = await readFallback(request)
  const manifests = (old?.manifests ?? []).filter(({ digest }) => digest !== entry.digest)
  const index: ImageIndex = {
    kind: 'index',
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: [...manifests, entry],
  }
  await putManifest(common, encodeManifest(index), index.mediaType, referrersTag(subject))
}

function artifactType(manifest: ReturnType<typeof parseManifest>): { artifactType?: string } {
  if (manifest.artifactType !== undefined) return { artifactType: manifest.artifactType }
  return manifest.kind === 'manifest' ? { artifactType: manifest.config.mediaType } : {}
}

async function listTags(common: Common): Promise<readonly string[]> {
  const attempt = `listing tags of ${common.repository}`
  const tags: string[] = []
  let from: URL | string | undefined = `/v2/${common.repository}/tags/list`
  for (let page = 0; from !== undefined; page++) {
    if (page >= MAX_TAG_PAGES) throw invalidAnswer(attempt, 'there is no end of them')
    const { response, url } = await common.session.send({
      method: 'GET',
      url: from,
      scopes: common.scopes,
      signal: common.signal,
    })
    if (response.status !== 200) throw await refusal(response, attempt)
    const link = nextLink(headers(response, 'link'))
    const body = await readBody(response, MAX_TAG_BODY)
    if (body === undefined) throw invalidAnswer(attempt, 'the answer is longer than 4 MiB')
    const found = object(parseJson(body, { name: 'list of tags' }), 'list of tags')
    for (const tag of array(found.tags ?? [], 'tags')) tags.push(string(tag, 'tag', { max: 128 }))
    from = link === undefined ? undefined : resolveLocation(url, link)
    if (from instanceof URL && from.origin !== url.origin) {
      throw invalidAnswer(attempt, 'the next page is on another host')
    }
  }
  return tags
}

function checkName(name: string): string {
  if (isDigest(name) || isTag(name)) return name
  throw new TypeError('the name of a manifest is a tag or a digest')
}

function notFound(repository: string, name: string): RegistryError {
  return new RegistryError(
    'REGISTRY_NOT_FOUND',
    `reading ${repository}: it has no manifest ${name}`,
  )
}
