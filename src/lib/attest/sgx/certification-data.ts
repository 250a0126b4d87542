import { FormatError, Reader } from '#lib/bytes'
import type { QuoteFrame } from './quote.ts'

/** Types of certification data that a verifier can use: 5 alone, the others with a chain. */
export const CERTIFICATION_TYPES: readonly number[] = [1, 2, 3, 4, 5]

/** How the platform is named: in clear, or for the provisioning service alone. */
const PPID_SIZES: Readonly<Record<number, number>> = { 1: 16, 2: 256, 3: 384 }

/** Certification data as it names a PCK certificate (docs/formats/quote.md, Quote). */
export type CertificationData =
  | {
      readonly kind: 'ppid'
      /** PPID itself, or encrypted to Intel with RSA-2048 or RSA-3072. */
      readonly encryption: 'none' | 'rsa-2048' | 'rsa-3072'
      readonly ppid: Uint8Array
      /** 16 bytes, raw: what a certificate service is asked with. */
      readonly cpuSvn: Uint8Array
      readonly pceSvn: number
      /** 2 bytes as they lie there; absent in the short form that Intel's samples have. */
      readonly pceId?: Uint8Array
    }
  | { readonly kind: 'pck-leaf' | 'pck-chain'; readonly bytes: Uint8Array }
  | { readonly kind: 'unknown' }

/**
 * Reads what a quote says about its PCK certificate. Nothing signs it. Throws FormatError for
 * types 1 to 3 of a wrong size.
 */
export function parseCertificationData(
  quote: Pick<QuoteFrame, 'certificationType' | 'certificationData'>,
): CertificationData {
  const { certificationType: type, certificationData: bytes } = quote
  if (type === 4) return { kind: 'pck-leaf', bytes }
  if (type === 5) return { kind: 'pck-chain', bytes }
  const size = PPID_SIZES[type]
  if (size === undefined) return { kind: 'unknown' }
  const long = bytes.length === size + 20
  if (!long && bytes.length !== size + 18) {
    const found = `has ${bytes.length} bytes, not ${size + 20} or ${size + 18}`
    throw new FormatError('FORMAT_INVALID', 'certification data', 0, found)
  }
  const reader = new Reader(bytes)
  return {
    kind: 'ppid',
    encryption: type === 1 ? 'none' : type === 2 ? 'rsa-2048' : 'rsa-3072',
    ppid: reader.bytes(size, 'PPID'),
    cpuSvn: reader.bytes(16, 'CPUSVN'),
    pceSvn: reader.u16le('PCESVN'),
    ...(long && { pceId: reader.bytes(2, 'PCE id') }),
  }
}
