import { fromBase64 } from '#lib/bytes'
import { OcicryptError } from './ocicrypt-error.ts'

/** Prefix of every annotation of layer encryption. */
export const ENCRYPTION_PREFIX = 'org.opencontainers.image.enc.'
/** Annotation with the public options, base64 of their JSON. */
export const PUBLIC_OPTIONS_ANNOTATION = 'org.opencontainers.image.enc.pubopts'
/** Prefix of the annotations that hold wrapped keys; the rest of the name is the scheme. */
export const WRAPPED_KEYS_PREFIX = 'org.opencontainers.image.enc.keys.'

/** Scheme of JWE-wrapped keys. */
export const JWE_SCHEME = 'jwe'
/** Scheme of keys wrapped for a resource of the key broker. */
export const PACKET_SCHEME = 'provider.attestation-agent'

/** Longest wrap list that is read, in characters; 100 JWEs of common size fit. */
export const MAX_WRAP_LIST: number = 512 * 1024
/** Most wrapped keys of one scheme. Each one may cost a request to the broker. */
export const MAX_WRAPPED_KEYS = 100

/** Annotations of a descriptor. */
export type Annotations = Readonly<Record<string, string>>

/** The wrapped keys of one scheme, as they stand in the annotation. */
export interface WrapList {
  /** `jwe`, `pkcs7`, `provider.attestation-agent` … */
  readonly scheme: string
  readonly text: string
}

/** All wrap lists of a layer, ordered by scheme so that errors and attempts are repeatable. */
export function wrapLists(annotations: Annotations): WrapList[] {
  return Object.entries(annotations)
    .filter(([key]) => key.startsWith(WRAPPED_KEYS_PREFIX))
    .map(([key, text]) => ({ scheme: key.slice(WRAPPED_KEYS_PREFIX.length), text }))
    .sort((a, b) => (a.scheme < b.scheme ? -1 : 1))
}

/**
 * The elements of a wrap list, one by one: base64 texts joined by a comma (docs/formats/ocicrypt.md)
 *. Throws `WRAP_LIST_INVALID` at the first element that is not base64: as in ocicrypt, the
 * elements before it count and those after it do not.
 */
export function* wrappedKeys(list: WrapList): Generator<Uint8Array> {
  const reading = `reading the wrapped keys of scheme ${list.scheme}`
  if (list.text.length > MAX_WRAP_LIST) {
    throw new OcicryptError('WRAP_LIST_INVALID', `${reading}: over ${MAX_WRAP_LIST} characters`)
  }
  let index = 0
  for (const element of list.text.split(',')) {
    if (index >= MAX_WRAPPED_KEYS) {
      throw new OcicryptError('WRAP_LIST_INVALID', `${reading}: over ${MAX_WRAPPED_KEYS} keys`)
    }
    let bytes: Uint8Array
    try {
      bytes = fromBase64(element, `wrapped key ${index}`)
    } catch (cause) {
      const message = `${reading}: element ${index} is not base64`
      throw new OcicryptError('WRAP_LIST_INVALID', message, { cause })
    }
    index += 1
    yield bytes
  }
}

/** The annotations without those of layer encryption, as a decrypted layer carries them. */
export function plainAnnotations(annotations: Annotations): Record<string, string> {
  // Without the final dot, as containers/image: `org.opencontainers.image.enc` itself goes too.
  const prefix = ENCRYPTION_PREFIX.slice(0, -1)
  return Object.fromEntries(
    Object.entries(annotations).filter(([key]) => key !== prefix && !key.startsWith(`${prefix}.`)),
  )
}
