import { copyOf } from '#lib/bytes'
import { TAG_LENGTH } from '#lib/sealed'
import { ssl } from './openssl.ts'

const NONCE_LENGTH = 12
const KEY_LENGTH = 32
const FILE_ID_LENGTH = 16

/** Which way a context works: `EVP_EncryptInit_ex` or `EVP_DecryptInit_ex`. */
type Init = typeof ssl.EVP_EncryptInit_ex

/**
 * One OpenSSL context for all chunks of a sealed layer, with the buffers that its calls need: nothing is
 * allocated for a chunk. Use it from the thread that made it, and close it: the context holds the key
 * schedule, which OpenSSL wipes when it is freed.
 */
export class LayerContext {
  /** Associated data of every chunk: the file id, 16 bytes. */
  readonly aad: Uint8Array
  /** Of the chunk that was begun last: 12 bytes, GCM's default length; the first four stay zero. */
  readonly nonce: Uint8Array<ArrayBuffer> = new Uint8Array(NONCE_LENGTH)
  /** Where OpenSSL writes how much came out; nobody reads it. */
  readonly length: Uint8Array = new Uint8Array(4)
  /** Room for a final block; GCM writes none. */
  readonly last: Uint8Array = new Uint8Array(TAG_LENGTH)
  readonly #counter: DataView
  #context: bigint

  /** Throws RangeError for lengths that OpenSSL would not look at, Error where it refuses. */
  constructor(init: Init, key: Uint8Array, fileId: Uint8Array) {
    // OpenSSL reads as many bytes as the algorithm says, whatever the array holds.
    if (key.length !== KEY_LENGTH) throw new RangeError('the key of a sealed layer has 32 bytes')
    if (fileId.length !== FILE_ID_LENGTH) throw new RangeError('a file id has 16 bytes')
    this.aad = copyOf(fileId)
    this.#counter = new DataView(this.nonce.buffer)
    this.#context = ssl.EVP_CIPHER_CTX_new()
    if (this.#context === 0n) throw new Error('OpenSSL has no memory for a cipher context')
    // Safe: the cipher is a static object; the key has 32 bytes (checked) and is copied by the call.
    if (init(this.#context, ssl.EVP_aes_256_gcm(), null, key, null) !== 1) {
      this.close()
      throw new Error('OpenSSL refused the key of a sealed layer')
    }
  }

  /** The live context, with the nonce of chunk `index`. Throws TypeError once it is closed, RangeError. */
  begin(index: number, tag: Uint8Array): bigint {
    if (this.#context === 0n) throw new TypeError('the chunk cipher is closed')
    if (tag.length !== TAG_LENGTH) throw new RangeError('a tag has 16 bytes')
    if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`chunk ${index}`)
    // Without a bigint: it would be the only thing to allocate.
    this.#counter.setUint32(4, Math.floor(index / 2 ** 32))
    this.#counter.setUint32(8, index % 2 ** 32)
    return this.#context
  }

  close(): void {
    // Safe: freed once, the address is forgotten at the same moment.
    if (this.#context !== 0n) ssl.EVP_CIPHER_CTX_free(this.#context)
    this.#context = 0n
  }
}
