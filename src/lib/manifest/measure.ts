import { createHash } from 'node:crypto'
import { type EnclaveManifest, manifestBytes } from './manifest.ts'

/** MRENCLAVE of a manifest: SHA-256 of its canonical bytes. */
export function mrEnclave(manifest: EnclaveManifest): Uint8Array {
  return createHash('sha256').update(manifestBytes(manifest)).digest()
}

/** MRSIGNER: SHA-256 of the 384-byte modulus in little-endian order (SGX SIGSTRUCT). */
export function mrSigner(modulus: Uint8Array): Uint8Array {
  if (modulus.length !== 384) throw new TypeError('a modulus has 384 bytes')
  return createHash('sha256').update(Uint8Array.from(modulus).reverse()).digest()
}
