import { createHmac, hkdfSync } from 'node:crypto'
import { concat, toHex, utf8, Writer } from '#lib/bytes'

/** Label of the enclave's sealing key that cache records are under. */
export const CACHE_SEALING_LABEL = 'cache/1'

const KEY_LENGTH = 32

/** What the owner released for a layer; undefined for a plain one. */
export interface ReleasedOptions {
  /** 32 bytes. */
  readonly key: Uint8Array
  /** 16 bytes. */
  readonly nonce: Uint8Array
}

/** Where a layer's record is and what wraps it. Dispose of it to wipe the key. */
export interface RecordKeys extends Disposable {
  /** 64 hex digits. */
  readonly name: string
  /** WK, 32 bytes. */
  readonly wrappingKey: Uint8Array
}

/**
 * `WK` and `NAME` of docs/formats/cache-record.md. Without the platform's sealing key or without what the
 * owner released, neither can be computed. Throws RangeError for lengths that no caller may pass.
 */
export function recordKeys(
  sealingKey: Uint8Array,
  layerId: Uint8Array,
  released: ReleasedOptions | undefined,
): RecordKeys {
  if (sealingKey.length !== KEY_LENGTH || layerId.length !== 32) {
    throw new RangeError('sealing key and layer id have 32 bytes')
  }
  if (released !== undefined && (released.key.length !== 32 || released.nonce.length !== 16)) {
    throw new RangeError('a layer key has 32 bytes, its nonce 16')
  }
  const options = released === undefined ? utf8('plain') : concat(released.key, released.nonce)
  const salt = hkdf(sealingKey, new Uint8Array(0), labelled('ecc/cache/1', layerId))
  try {
    const wrappingKey = hkdf(options, salt, labelled('ecc/wrap/1', layerId))
    const name = toHex(new Uint8Array(createHmac('sha256', wrappingKey).update('name').digest()))
    return { name, wrappingKey, [Symbol.dispose]: () => void wrappingKey.fill(0) }
  } finally {
    salt.fill(0)
    options.fill(0)
  }
}

/** `e(label) ‖ LID`. */
export function labelled(label: string, layerId: Uint8Array): Uint8Array {
  return new Writer().lengthPrefixed(utf8(label)).bytes(layerId).finish()
}

function hkdf(key: Uint8Array, salt: Uint8Array, info: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, salt, info, KEY_LENGTH))
}
