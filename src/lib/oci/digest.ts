import { createHash, type Hash } from 'node:crypto'
import { OciError } from './oci-error.ts'

/** Names of the digest algorithms that we accept. */
export type DigestAlgorithm = 'sha256' | 'sha512'

/** Lower case only: two spellings of one digest would be two file names and two cache keys. */
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/** True for `sha256:` + 64 or `sha512:` + 128 lower-case hexadecimal digits. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text)
}

/**
 * Returns the digest unchanged, or throws `IMAGE_DIGEST_INVALID`. Digests become URLs
 * and file names, so this stands before any use of one (CVE-2024-3727).
 */
export function checkDigest(text: string, field: string): string {
  if (!isDigest(text)) {
    throw new OciError(
      'IMAGE_DIGEST_INVALID',
      `reading ${field}: ${quote(text)} is not a sha256 or sha512 digest in lower case`,
    )
  }
  return text
}

/** The algorithm of a valid digest. */
export function digestAlgorithm(digest: string): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256'
}

/** The hexadecimal part of a valid digest. */
export function digestHex(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1)
}

/** The digest of bytes, `sha256:…` unless told otherwise. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** Throws `IMAGE_SIZE_MISMATCH` or `IMAGE_DIGEST_MISMATCH` unless `bytes` are what was named. */
export function checkContent(bytes: Uint8Array, wanted: ContentName, what: string): void {
  if (bytes.length !== wanted.size) throw sizeMismatch(what, wanted.size, bytes.length)
  const found = digestOf(bytes, digestAlgorithm(wanted.digest))
  if (found !== wanted.digest) throw digestMismatch(what, wanted.digest, found)
}

/** What names content: the two descriptor members that every reader must check. */
export interface ContentName {
  readonly digest: string
  /** Bytes. */
  readonly size: number
}

/**
 * Passes `source` through and checks it: stops at the first byte above `wanted.size`
 * (which is never passed on) and throws at the end if bytes are missing or the digest
 * differs. What was yielded counts only after the loop has ended without an error.
 */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  wanted: ContentName,
  what: string = 'blob',
): AsyncGenerator<Uint8Array, void, undefined> {
  checkDigest(wanted.digest, what)
  const check = new ContentCheck(wanted, what)
  for await (const chunk of source) {
    check.update(chunk)
    if (chunk.length > 0) yield chunk
  }
  check.finish()
}

/** The running check behind `verified`; for callers that feed bytes from several connections. */
export class ContentCheck {
  readonly #wanted: ContentName
  readonly #what: string
  #hash: Hash
  #seen = 0

  constructor(wanted: ContentName, what: string) {
    this.#wanted = wanted
    this.#what = what
    this.#hash = createHash(digestAlgorithm(wanted.digest))
  }

  /** Bytes taken so far. */
  get seen(): number {
    return this.#seen
  }

  /** Takes bytes; throws `IMAGE_SIZE_MISMATCH` before it takes more than the named size. */
  update(chunk: Uint8Array): void {
    const seen = this.#seen + chunk.length
    if (seen > this.#wanted.size) {
      throw sizeMismatch(this.#what, this.#wanted.size, `at least ${seen}`)
    }
    this.#hash.update(chunk)
    this.#seen = seen
  }

  /** Throws unless exactly the named content was taken. */
  finish(): void {
    if (this.#seen !== this.#wanted.size) {
      throw sizeMismatch(this.#what, this.#wanted.size, this.#seen)
    }
    const found = `${digestAlgorithm(this.#wanted.digest)}:${this.#hash.digest('hex')}`
    if (found !== this.#wanted.digest) throw digestMismatch(this.#what, this.#wanted.digest, found)
  }
}

/** Quotes hostile text for an error message: printable, at most 80 characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}

function sizeMismatch(what: string, expected: number, actual: number | string): OciError {
  return new OciError(
    'IMAGE_SIZE_MISMATCH',
    `reading ${what}: it has ${actual} bytes, its descriptor says ${expected}`,
    { details: { expected, actual } },
  )
}

function digestMismatch(what: string, expected: string, actual: string): OciError {
  return new OciError(
    'IMAGE_DIGEST_MISMATCH',
    `reading ${what}: its digest is ${actual}, expected ${expected}`,
    { details: { expected, actual } },
  )
}
