import { FormatError, fromUtf8, Reader, utf8, Writer } from '#lib/bytes'
import { layerPlace } from '#lib/sealed'
import { LAUNCH_ID_LENGTH } from './message.ts'

/** What init needs to open one sealed layer (own-protocols 4). */
export interface HandoverLayer {
  /** K, 32 bytes. */
  readonly key: Uint8Array
  /** Authenticated root of the tag table, 32 bytes. */
  readonly root: Uint8Array
  /** H, the header of the sealed file. */
  readonly header: Uint8Array
  /** Name of the sealed file, in the pod's spool or in the node's cache (`layerPlace`). */
  readonly file: string
}

/** What M4 carries beside the launch id. */
export interface HandoverPayload {
  /** Base first. */
  readonly layers: readonly HandoverLayer[]
  /** The launch configuration as JSON bytes (`#lib/launch`). */
  readonly config: Uint8Array
  /** The scratch policy as JSON bytes. */
  readonly scratch: Uint8Array
}

const KEY_LENGTH = 32
const ROOT_LENGTH = 32
/** As many as overlayfs of Linux takes with short names; OCI builders stop at 127. */
const MAX_LAYERS = 256
const MAX_HEADER = 4096
const MAX_CONFIG = 2 * 1024 * 1024
const MAX_SCRATCH = 4096

/** launchId ‖ u32 n ‖ n × (K ‖ root ‖ e(H) ‖ e(file)) ‖ e(config) ‖ e(scratch). The caller wipes the result. */
export function encodePayload(
  launchId: Uint8Array,
  payload: HandoverPayload,
): Uint8Array<ArrayBuffer> {
  if (payload.config.length > MAX_CONFIG)
    throw new RangeError('the launch configuration is too long')
  const w = new Writer().bytes(launchId).u32be(payload.layers.length)
  for (const layer of payload.layers) {
    w.bytes(sized(layer.key, KEY_LENGTH)).bytes(sized(layer.root, ROOT_LENGTH))
    w.lengthPrefixed(layer.header).lengthPrefixed(utf8(layer.file))
  }
  return w.lengthPrefixed(payload.config).lengthPrefixed(payload.scratch).finish()
}

/** Parses what `encodePayload` wrote; fields are copies (`slice` of a Buffer would not be), so that the source can be wiped. Throws FormatError. */
export function parsePayload(
  bytes: Uint8Array,
): HandoverPayload & { readonly launchId: Uint8Array } {
  const r = new Reader(bytes)
  const launchId = new Uint8Array(r.bytes(LAUNCH_ID_LENGTH, 'launch id'))
  const count = r.countBe('layer count', MAX_LAYERS)
  const layers: HandoverLayer[] = []
  for (let i = 0; i < count; i++) {
    layers.push({
      key: new Uint8Array(r.bytes(KEY_LENGTH, 'layer key')),
      root: new Uint8Array(r.bytes(ROOT_LENGTH, 'layer root')),
      header: new Uint8Array(r.lengthPrefixed('layer header', MAX_HEADER)),
      file: fileName(r),
    })
  }
  const config = new Uint8Array(r.lengthPrefixed('launch configuration', MAX_CONFIG))
  const scratch = new Uint8Array(r.lengthPrefixed('scratch policy', MAX_SCRATCH))
  r.end('M4 payload')
  return { launchId, layers, config, scratch }
}

/** Overwrites the keys of a payload. */
export function wipePayload(payload: HandoverPayload): void {
  for (const layer of payload.layers) layer.key.fill(0)
}

function fileName(r: Reader): string {
  const at = r.offset
  const name = fromUtf8(r.lengthPrefixed('layer file', 128), 'layer file')
  if (layerPlace(name) === undefined) {
    throw new FormatError('FORMAT_INVALID', 'layer file', at, 'is not a name')
  }
  return name
}

function sized(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${length} bytes are needed`)
  return bytes
}
