import { FLAGS } from '#lib/attest'

/** What the launcher says of an enclave that it starts; the device reports exactly this. */
export interface Secs {
  /** 32 bytes. */
  readonly mrEnclave: Uint8Array
  /** 32 bytes. */
  readonly mrSigner: Uint8Array
  /** 64 bytes: the init-data digest, zero-padded. */
  readonly configId: Uint8Array
  readonly isvProdId: number
  readonly isvSvn: number
  readonly debug: boolean
}

/** Identity of a running enclave inside the CPU, every field that reports and keys depend on. */
export interface EnclaveIdentity {
  readonly mrEnclave: Uint8Array
  readonly mrSigner: Uint8Array
  readonly flags: bigint
  readonly xfrm: bigint
  readonly miscSelect: number
  readonly configId: Uint8Array
  readonly configSvn: number
  readonly isvProdId: number
  readonly isvSvn: number
  readonly isvFamilyId: Uint8Array
  readonly isvExtProdId: Uint8Array
}

/** x87, SSE and AVX state: what every processor of the last decade gives. */
export const XFRM = 0x7n

/**
 * The identity of an application enclave. It is 64-bit, initialised, has KSS (its CONFIGID carries
 * meaning) and never the provisioning attribute. RangeError if a field has another size.
 */
export function enclaveIdentity(secs: Secs): EnclaveIdentity {
  return {
    mrEnclave: copy(secs.mrEnclave, 32, 'mrEnclave'),
    mrSigner: copy(secs.mrSigner, 32, 'mrSigner'),
    flags: FLAGS.INIT | FLAGS.MODE64BIT | FLAGS.KSS | (secs.debug ? FLAGS.DEBUG : 0n),
    xfrm: XFRM,
    miscSelect: 0,
    configId: copy(secs.configId, 64, 'configId'),
    configSvn: 0,
    isvProdId: u16(secs.isvProdId, 'isvProdId'),
    isvSvn: u16(secs.isvSvn, 'isvSvn'),
    isvFamilyId: new Uint8Array(16),
    isvExtProdId: new Uint8Array(16),
  }
}

// Copies: an identity must not change when the launcher reuses its buffers.
function copy(bytes: Uint8Array, size: number, field: string): Uint8Array {
  if (bytes.length !== size) {
    throw new RangeError(`${field} has ${bytes.length} bytes, ${size} are needed`)
  }
  return new Uint8Array(bytes)
}

function u16(value: number, field: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
    throw new RangeError(`${field} does not fit 16 bits`)
  }
  return value
}
