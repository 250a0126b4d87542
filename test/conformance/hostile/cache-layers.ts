import { createHash } from 'node:crypto'
import { toHex, utf8 } from '#lib/bytes'
import { layerId, type RecordKeys, type ReleasedOptions, recordKeys } from '#lib/cache'
import { spoolLayer, type UnpackedLayer, unpackLayer } from '#lib/layer'
import { MEDIA_TYPES } from '#lib/oci'
import type { SealedSink } from '#lib/sealed'
import { createOpensslSealer } from '#platform/chunk-cipher'
import { LayerCache } from '../../../src/enclave/agent/image/layer-cache.ts'
import { MemoryFile, openImage, pieces, sha256 } from '../../support/layer-blob.ts'
import { tarArchive, tarEntry } from '../../support/tar-builder.ts'

/** What decides where an agent looks for a layer, and what opens the record there. */
export interface Identity {
  /** What the platform gives this agent, 32 bytes. */
  readonly sealingKey: Uint8Array
  /** `LID`. */
  readonly layerId: Uint8Array
  /** What the owner's broker released; undefined for a plain layer. */
  readonly released: ReleasedOptions | undefined
}

/** A layer that an agent wants, and what it must get. */
export interface CacheLayer extends Identity {
  readonly name: 'first' | 'second' | 'plain' | 'other plain'
  readonly archive: Uint8Array
  /** SHA-256 of the image in hex. */
  readonly image: string
  readonly imageLength: number
  readonly opaqueRoot: boolean
}

const SEALING_KEY = bytesOf('sealing key', 32)
const DATA = 180_000

/** Bytes that a text stands for. */
export function bytesOf(text: string, length: number): Uint8Array {
  return new Uint8Array(
    createHash('shake256', { outputLength: length }).update(`hostile cache ${text}`).digest(),
  )
}

/**
 * Two encrypted layers, the second with an opaque root, and two plain ones, which nothing but `LID` tells apart;
 * the same for every process, and of one length, so that nothing is refused for its length alone.
 */
export async function cacheLayers(): Promise<readonly CacheLayer[]> {
  const wanted = [
    { name: 'first', released: releasedFor('first'), mark: 'opaque-not' },
    { name: 'second', released: releasedFor('second'), mark: '.wh..wh..opq' },
    { name: 'plain', released: undefined, mark: 'opaque-not' },
    { name: 'other plain', released: undefined, mark: 'opaque-not' },
  ] as const
  const layers: CacheLayer[] = []
  for (const { name, released, mark } of wanted) {
    const archive = archiveOf(name, mark)
    const id = idOf(archive, released === undefined ? bytesOf('init-data', 32) : new Uint8Array(0))
    const memory = new MemoryFile()
    const sealed = await sealArchive(archive, id, memory)
    const image = await openImage(memory, sealed)
    layers.push({
      ...{ name, archive, released, layerId: id, sealingKey: SEALING_KEY },
      image: createHash('sha256').update(image).digest('hex'),
      imageLength: image.length,
      opaqueRoot: sealed.opaqueRoot,
    })
  }
  return layers
}

/** Name and key of the record. */
export function keysOf({ sealingKey, layerId: id, released }: Identity): RecordKeys {
  return recordKeys(sealingKey, id, released)
}

/**
 * Has an agent keep an archive in `directory`, as one that it has just fetched, and wait for its record.
 * `headerId` is for an agent that errs.
 */
export async function keep(
  directory: string,
  identity: Identity,
  archive: Uint8Array,
  headerId: Uint8Array = identity.layerId,
): Promise<void> {
  using keys = keysOf(identity)
  const cache = new LayerCache(directory)
  try {
    const slot = { layerId: identity.layerId, keys }
    const kept = await cache.add(slot, (sink) => sealArchive(archive, headerId, sink))
    if (kept === undefined) throw new Error('the cache took nothing')
    await cache.settled()
  } finally {
    cache.release()
  }
}

/** Seals an archive as the agent does. */
export async function sealArchive(
  archive: Uint8Array,
  id: Uint8Array,
  sink: SealedSink,
): Promise<UnpackedLayer> {
  const diffId = sha256(archive)
  const descriptor = { digest: diffId, size: archive.length }
  const spooled = await spoolLayer({ source: pieces(archive), descriptor, cipher: undefined })
  return await unpackLayer({
    ...{ spooled, compression: 'none', diffId, sink, layerId: id },
    chunkSealer: createOpensslSealer,
  })
}

/** An archive of one shape: contents and one name differ. */
export function archiveOf(content: string, mark = 'opaque-not'): Uint8Array {
  return tarArchive(
    tarEntry({ name: mark }),
    tarEntry({ name: 'data', data: bytesOf(`content ${content}`, DATA) }),
    tarEntry({ name: 'words', data: utf8(toHex(bytesOf(`words ${content}`, 2000))) }),
  )
}

function releasedFor(name: string): ReleasedOptions {
  return { key: bytesOf(`key of ${name}`, 32), nonce: bytesOf(`nonce of ${name}`, 16) }
}

function idOf(archive: Uint8Array, scope: Uint8Array): Uint8Array {
  const digest = sha256(archive)
  return layerId({ digest, mediaType: MEDIA_TYPES.ociLayerTar, diffId: digest, scope })
}
