import { createHash } from 'node:crypto'
import { parse } from 'smol-toml'
import { fromUtf8 } from '#lib/bytes'
import { object, oneOf, stringMap } from '#lib/json'
import { InitDataError } from './init-data-error.ts'

/** Largest document that is looked at, in bytes. */
export const MAX_INIT_DATA = 65_536

const ALGORITHMS = ['sha256', 'sha384', 'sha512'] as const

/** CoCo's outer form of init-data (docs/formats/init-data.md), whatever it carries. */
export interface InitDataEnvelope {
  readonly version: '0.1.0'
  readonly algorithm: 'sha256' | 'sha384' | 'sha512'
  /** Member name to text. Without prototype. */
  readonly data: Readonly<Record<string, string>>
}

/** Parses the outer form only; unknown members are refused. Throws INIT_DATA_INVALID. */
export function parseEnvelope(document: Uint8Array | string): InitDataEnvelope {
  if (document.length > MAX_INIT_DATA) {
    throw new InitDataError('INIT_DATA_INVALID', `init-data has more than ${MAX_INIT_DATA} bytes`)
  }
  return asInitDataError(() => {
    const text = typeof document === 'string' ? document : fromUtf8(document, 'init-data')
    const toml = object(parseToml(text), 'init-data', ['version', 'algorithm', 'data'])
    return {
      version: oneOf(toml.version, 'init-data version', ['0.1.0']),
      algorithm: oneOf(toml.algorithm, 'init-data algorithm', ALGORITHMS),
      data: stringMap(toml.data, 'init-data data', { maxItems: 16, max: MAX_INIT_DATA }),
    }
  })
}

/**
 * Digest of the exact bytes by the document's own algorithm. White space and order of members
 * count, so a document is never written again before it is hashed.
 */
export function envelopeDigest(
  document: Uint8Array | string,
  algorithm: InitDataEnvelope['algorithm'],
): Uint8Array {
  return new Uint8Array(createHash(algorithm).update(document).digest())
}

/** TOML as plain values, with the limits of a hostile document. */
export function parseToml(text: string): unknown {
  return parse(text, { maxDepth: 8, unsafeKeyBehaviour: 'throw' })
}

/** Runs a parser and gives whatever it throws the code of this component. */
export function asInitDataError<T>(parser: () => T): T {
  try {
    return parser()
  } catch (cause) {
    if (cause instanceof InitDataError) throw cause
    const found = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : ''
    throw new InitDataError('INIT_DATA_INVALID', `reading init-data: ${found}`, { cause })
  }
}
