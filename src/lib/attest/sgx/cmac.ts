import { createCipheriv } from 'node:crypto'

const BLOCK = 16

/**
 * AES-128-CMAC (RFC 4493), the MAC of reports: node:crypto has no CMAC, so it is built
 * on its CBC. Compare the result with `equalSecret`. RangeError for another key size.
 */
export function aesCmac(key: Uint8Array, message: Uint8Array): Uint8Array<ArrayBuffer> {
  if (key.length !== 16) throw new RangeError('an AES-128-CMAC key has 16 bytes')
  const subkey1 = double(cbc(key, new Uint8Array(BLOCK)))
  const blocks = Math.max(1, Math.ceil(message.length / BLOCK))
  const complete = message.length > 0 && message.length % BLOCK === 0
  const padded = new Uint8Array(blocks * BLOCK)
  padded.set(message)
  if (!complete) padded[message.length] = 0x80
  const subkey = complete ? subkey1 : double(subkey1)
  const last = padded.subarray(-BLOCK)
  for (const [i, byte] of subkey.entries()) last[i] = (last[i] ?? 0) ^ byte
  return cbc(key, padded).slice(-BLOCK)
}

/** CBC with a zero IV and no padding; the length is a multiple of the block. */
function cbc(key: Uint8Array, plain: Uint8Array): Uint8Array<ArrayBuffer> {
  const cipher = createCipheriv('aes-128-cbc', key, new Uint8Array(BLOCK)).setAutoPadding(false)
  return new Uint8Array(Buffer.concat([cipher.update(plain), cipher.final()]))
}

/** Doubling in GF(2^128) with the polynomial of RFC 4493 section 2.3. */
function double(block: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(BLOCK)
  let carry = 0
  for (let i = BLOCK - 1; i >= 0; i--) {
    const byte = block[i] ?? 0
    out[i] = (byte << 1) | carry
    carry = byte >> 7
  }
  // A multiplication instead of a branch: the subkeys are secret.
  out[BLOCK - 1] = (out[BLOCK - 1] ?? 0) ^ (0x87 * carry)
  return out
}
