import { concat } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import type { Transport } from '#lib/http'
import {
  apiHost,
  checkImageConfig,
  type Descriptor,
  formatReference,
  type ImageConfig,
  type ImageManifest,
  isImageConfigType,
  MAX_INDEX_DEPTH,
  MAX_MANIFEST_SIZE,
  manifestName,
  OciError,
  type Platform,
  parseImageConfig,
  type Reference,
  selectManifest,
} from '#lib/oci'
import {
  type AuthFile,
  createRegistryClient,
  findCredential,
  type RegistryClient,
  type RemoteManifest,
  type RetryClock,
} from '#lib/registry'
import type { Endpoint, Registries } from './registries.ts'

/** How registries are reached. */
export interface RegistryNetwork {
  /**
   * A transport with the CAs and the address rules of an endpoint, that takes no certificate which ended
   * before `now`, the enclave's own time: the host's clock extends no validity (own-protocols 10).
   */
  transport(rules: Pick<Endpoint, 'ca' | 'privateAddresses'>, now: () => number): Transport
  readonly clock: RetryClock
}

/** An image by digest, as one registry serves it. Nothing of it is trusted yet. */
export interface ImageSource {
  readonly reference: Reference
  readonly client: RegistryClient
  /** Digest of the manifest that would run. */
  readonly digest: string
  /** Digest of the index that lists it, where the reference names one. */
  readonly indexDigest: string | undefined
  readonly manifest: ImageManifest
}

/** Options of `openImage`. */
export interface OpenImageOptions {
  readonly reference: Reference
  readonly registries: Registries
  readonly credentials: AuthFile | undefined
  readonly network: RegistryNetwork
  readonly platform: Platform
  /** The enclave's time, milliseconds since 1970. */
  readonly now: () => number
  readonly signal?: AbortSignal
}

/**
 * Finds the manifest of a reference, from the first endpoint that has it, and follows indexes to the
 * entry of this platform. Throws RegistryError, OciError, HttpError, REGISTRY_BLOCKED.
 */
export async function openImage(options: OpenImageOptions): Promise<ImageSource> {
  const { reference } = options
  let failure: unknown
  for (const endpoint of options.registries.endpoints(reference)) {
    const client = clientOf(endpoint, options)
    try {
      const top = await client.manifest(manifestName(reference))
      return { reference, client, ...(await select(client, top, options.platform)) }
    } catch (error) {
      if (!isCoded(error)) throw error
      failure ??= error
    }
  }
  throw (
    failure ??
    new OciError(
      'IMAGE_REFERENCE_INVALID',
      `${formatReference(reference)}: no registry has a place for this name`,
    )
  )
}

/** The image's configuration, checked against the manifest. Throws OciError. */
export async function readConfig(source: ImageSource, platform: Platform): Promise<ImageConfig> {
  const { config } = source.manifest
  if (!isImageConfigType(config.mediaType)) {
    throw new OciError('IMAGE_CONFIG_INVALID', 'reading the image: it is not a container image')
  }
  const parsed = parseImageConfig(await readSmall(source.client, config, MAX_MANIFEST_SIZE))
  checkImageConfig(parsed, source.manifest, platform)
  return parsed
}

/** A whole blob of at most `max` bytes, verified. */
export async function readSmall(
  client: RegistryClient,
  descriptor: Descriptor,
  max: number,
): Promise<Uint8Array> {
  if (descriptor.size > max) {
    throw new OciError(
      'IMAGE_SIZE_MISMATCH',
      `reading blob ${descriptor.digest}: it has ${descriptor.size} bytes, ${max} at most`,
    )
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of client.blob(descriptor)) chunks.push(chunk)
  return concat(...chunks)
}

function clientOf(endpoint: Endpoint, options: OpenImageOptions): RegistryClient {
  const { host, repository, plainHttp, tokenHosts } = endpoint
  const { credentials, network, now, signal } = options
  // Credentials go to the host that they were written for, over TLS, and nowhere else.
  const credential =
    plainHttp || credentials === undefined
      ? undefined
      : findCredential(credentials, { host, repository })
  const realms = [apiHost(host), ...tokenHosts]
  return createRegistryClient({
    host,
    repository,
    plainHttp,
    credential,
    transport: network.transport(endpoint, now),
    clock: network.clock,
    allowRealm: (realm) => realms.includes(realm.host),
    ...(signal === undefined ? {} : { signal }),
  })
}

async function select(
  client: RegistryClient,
  top: RemoteManifest,
  platform: Platform,
): Promise<Pick<ImageSource, 'digest' | 'indexDigest' | 'manifest'>> {
  const indexDigest = top.manifest.kind === 'index' ? top.digest : undefined
  let current = top
  for (let depth = 0; current.manifest.kind === 'index'; depth++) {
    if (depth >= MAX_INDEX_DEPTH) {
      throw new OciError(
        'IMAGE_MANIFEST_INVALID',
        'reading the image: its indexes are nested too deep',
      )
    }
    current = await client.listedManifest(selectManifest(current.manifest, platform))
  }
  return { digest: current.digest, indexDigest, manifest: current.manifest }
}
