import { dlopen } from 'node:ffi'

/**
 * The OpenSSL that Node itself carries and exports; signatures as in `openssl/evp.h` of 3.x. No
 * package, no file: the code is the measured node binary.
 */
const { functions } = dlopen(null, {
  EVP_CIPHER_CTX_new: { return: 'pointer', arguments: [] },
  EVP_CIPHER_CTX_free: { return: 'void', arguments: ['pointer'] },
  EVP_aes_256_gcm: { return: 'pointer', arguments: [] },
  EVP_DecryptInit_ex: {
    return: 'i32',
    arguments: ['pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
  },
  EVP_DecryptUpdate: {
    return: 'i32',
    arguments: ['pointer', 'pointer', 'pointer', 'pointer', 'i32'],
  },
  EVP_CIPHER_CTX_ctrl: { return: 'i32', arguments: ['pointer', 'i32', 'i32', 'pointer'] },
  EVP_DecryptFinal_ex: { return: 'i32', arguments: ['pointer', 'pointer', 'pointer'] },
  EVP_EncryptInit_ex: {
    return: 'i32',
    arguments: ['pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
  },
  EVP_EncryptUpdate: {
    return: 'i32',
    arguments: ['pointer', 'pointer', 'pointer', 'pointer', 'i32'],
  },
  EVP_EncryptFinal_ex: { return: 'i32', arguments: ['pointer', 'pointer', 'pointer'] },
})

type Bytes = Uint8Array | null

/** The calls that chunk ciphers need; 1 is success, as everywhere in OpenSSL. */
interface Evp {
  EVP_CIPHER_CTX_new(): bigint
  EVP_CIPHER_CTX_free(context: bigint): void
  EVP_aes_256_gcm(): bigint
  EVP_CIPHER_CTX_ctrl(context: bigint, command: number, length: number, value: Uint8Array): number
  EVP_DecryptInit_ex(
    context: bigint,
    cipher: bigint | null,
    engine: null,
    key: Bytes,
    nonce: Bytes,
  ): number
  EVP_DecryptUpdate(
    context: bigint,
    out: Bytes,
    length: Uint8Array,
    input: Uint8Array,
    size: number,
  ): number
  EVP_DecryptFinal_ex(context: bigint, out: Uint8Array, length: Uint8Array): number
  EVP_EncryptInit_ex(
    context: bigint,
    cipher: bigint | null,
    engine: null,
    key: Bytes,
    nonce: Bytes,
  ): number
  EVP_EncryptUpdate(
    context: bigint,
    out: Bytes,
    length: Uint8Array,
    input: Uint8Array,
    size: number,
  ): number
  EVP_EncryptFinal_ex(context: bigint, out: Uint8Array, length: Uint8Array): number
}

/** The wrapped functions, for the ciphers of this folder alone. */
export const ssl: Evp = functions

/** EVP_CTRL_AEAD_SET_TAG. */
export const SET_TAG = 0x11
/** EVP_CTRL_AEAD_GET_TAG. */
export const GET_TAG = 0x10
