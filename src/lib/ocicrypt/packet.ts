import { createDecipheriv, timingSafeEqual } from 'node:crypto'
import { concat } from '#lib/bytes'
import { formatResourceUri, parseResourceUri } from '#lib/initdata'
import { base64, object, optional, parseJson, string } from '#lib/json'
import { PACKET_SCHEME } from './annotations.ts'
import { OcicryptError } from './ocicrypt-error.ts'
import { parsePrivateOptions } from './options.ts'
import { SAMPLE_KEK } from './sample-key.ts'
import type { UnwrapOptions, Unwrapper } from './unwrap-layer.ts'

/** An annotation packet of CoCo's attestation-agent provider, v1 or v2 with provider kbs. */
export interface Packet {
  /** The key-encryption key, `kbs:///namespace/type/tag`. */
  readonly kid: string
  readonly wrapType: 'A256GCM' | 'A256CTR'
  /** 12 bytes for GCM, 16 for CTR. */
  readonly iv: Uint8Array
  /** Ciphertext; with GCM followed by the 16-byte tag. */
  readonly wrappedData: Uint8Array
}

const MAX_PACKET = 64 * 1024
const IV_LENGTH = { A256GCM: 12, A256CTR: 16 } as const
const TAG = 16

/**
 * Parses a packet (docs/formats/ocicrypt.md). Throws `PACKET_LEGACY` for the number-array form of
 * 2022, `PACKET_UNSUPPORTED` for other providers, versions and algorithms, `PACKET_INVALID`,
 * `RESOURCE_URI_INVALID`.
 */
export function parsePacket(bytes: Uint8Array): Packet {
  const root = field(() => object(parseJson(bytes, { maxBytes: MAX_PACKET }), 'packet'))
  if (Array.isArray(root.wrapped_data) || Array.isArray(root.iv)) {
    throw new OcicryptError(
      'PACKET_LEGACY',
      'reading an attestation-agent packet: it holds arrays of numbers, so it was written before 2023',
    )
  }
  const text = (name: string, max: number, otherwise?: string): string =>
    field(() => optional(root[name], (value) => string(value, name, { max })) ?? otherwise) ??
    absent(name)
  const provider = text('provider', 64, 'kbs').toLowerCase()
  if (provider !== 'kbs') throw unsupported('provider', provider, 'kbs')
  const version = text('version', 64, '0.1.0')
  if (version !== '0.1.0') throw unsupported('version', version, '0.1.0')
  const wrapType = text('wrap_type', 64)
  if (wrapType !== 'A256GCM' && wrapType !== 'A256CTR') {
    throw unsupported('wrap_type', wrapType, 'A256GCM and A256CTR')
  }
  const iv = field(() => base64(root.iv, 'iv', IV_LENGTH[wrapType]))
  const wrappedData = field(() => base64(root.wrapped_data, 'wrapped_data'))
  if (wrapType === 'A256GCM' && wrappedData.length < TAG) {
    throw invalid('wrapped_data is shorter than its tag')
  }
  return { kid: formatResourceUri(parseResourceUri(text('kid', 1024))), wrapType, iv, wrappedData }
}

/** What decides about keys when packets are opened. */
export interface PacketKeyOptions {
  /**
   * Accept the publicly known sample key. Only for the insecure test mode: with it, anyone
   * can read and make layers. Default false.
   */
  readonly allowSampleKek?: boolean
}

/**
 * Opens a packet with its key-encryption key, the raw 32 bytes of the resource. Returns the
 * private options JSON. Throws `KEK_INVALID`, `KEK_SAMPLE_REFUSED`, `PACKET_NOT_FOR_KEY`.
 */
export function openPacket(
  packet: Packet,
  kek: Uint8Array,
  options: PacketKeyOptions = {},
): Uint8Array {
  checkKek(kek, packet.kid, options)
  const plain =
    packet.wrapType === 'A256GCM'
      ? openGcm(packet, kek)
      : openCtr(packet.iv, packet.wrappedData, kek)
  // CTR authenticates nothing: options that do not parse strictly mean the wrong key.
  if (plain !== undefined && parses(plain)) return plain
  plain?.fill(0)
  throw new OcicryptError(
    'PACKET_NOT_FOR_KEY',
    `opening an attestation-agent packet: the key ${packet.kid} does not open it`,
  )
}

/**
 * Refuses a key-encryption key that is not 32 bytes, or is the published sample key of CoCo.
 * Throws `KEK_INVALID`, `KEK_SAMPLE_REFUSED`.
 */
export function checkKek(kek: Uint8Array, kid: string, options: PacketKeyOptions = {}): void {
  if (kek.length !== 32) {
    throw new OcicryptError(
      'KEK_INVALID',
      `reading the key-encryption key ${kid}: it has ${kek.length} bytes, 32 are needed`,
    )
  }
  if (options.allowSampleKek !== true && timingSafeEqual(kek, SAMPLE_KEK)) {
    throw new OcicryptError(
      'KEK_SAMPLE_REFUSED',
      `reading the key-encryption key ${kid}: it is the sample key that everyone knows`,
    )
  }
}

/**
 * Opens packets with keys that `getKek` fetches by `kid` (`kbs:///namespace/type/tag`). The
 * caller's `getKek` decides whether the kid may be asked for at all (namespace, launch policy).
 */
export function packetUnwrapper(
  getKek: (kid: string, options: UnwrapOptions) => Promise<Uint8Array>,
  keyOptions: PacketKeyOptions = {},
): Unwrapper {
  return {
    scheme: PACKET_SCHEME,
    unwrap: async (wrapped, options) => {
      const packet = parsePacket(wrapped)
      return openPacket(packet, await getKek(packet.kid, options), keyOptions)
    },
  }
}

function openGcm(packet: Packet, kek: Uint8Array): Uint8Array | undefined {
  const end = packet.wrappedData.length - TAG
  const decipher = createDecipheriv('aes-256-gcm', kek, packet.iv, { authTagLength: TAG })
  decipher.setAuthTag(packet.wrappedData.subarray(end))
  const plain = decipher.update(packet.wrappedData.subarray(0, end))
  try {
    return concat(plain, decipher.final())
  } catch {
    return undefined
  } finally {
    plain.fill(0)
  }
}

function openCtr(iv: Uint8Array, wrapped: Uint8Array, kek: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('aes-256-ctr', kek, iv)
  return concat(decipher.update(wrapped), decipher.final())
}

function parses(plain: Uint8Array): boolean {
  try {
    parsePrivateOptions(plain).symkey.fill(0)
    return true
  } catch {
    return false
  }
}

function field<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : 'unreadable', cause)
  }
}

function absent(name: string): never {
  throw invalid(`${name} is missing`)
}

function invalid(found: string, cause?: unknown): OcicryptError {
  const message = `reading an attestation-agent packet: ${found}`
  return new OcicryptError('PACKET_INVALID', message, { cause })
}

function unsupported(name: string, value: string, known: string): OcicryptError {
  const shown = /^[\w.-]+$/.test(value) ? value : 'another text'
  return new OcicryptError(
    'PACKET_UNSUPPORTED',
    `reading an attestation-agent packet: ${name} is ${shown}, only ${known} is supported`,
  )
}
