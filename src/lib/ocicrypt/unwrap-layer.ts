import { isCoded } from '#lib/errors'
import { type Annotations, type WrapList, wrapLists, wrappedKeys } from './annotations.ts'
import { type LayerCipher, layerCipher } from './layer-cipher.ts'
import { OcicryptError } from './ocicrypt-error.ts'
import { type PrivateOptions, parsePrivateOptions, publicOptionsOf } from './options.ts'

/** Options of everything here that waits. */
export interface UnwrapOptions {
  readonly signal?: AbortSignal
}

/** Opens wrapped keys of one scheme. */
export interface Unwrapper {
  /** `jwe` or `provider.NAME`: the exact end of the annotation's name. */
  readonly scheme: string
  /** Private options JSON of one wrapped key; throws a coded error if it cannot be opened. */
  unwrap(wrapped: Uint8Array, options: UnwrapOptions): Promise<Uint8Array>
}

/** Why one wrapped key, or a whole scheme, gave no key. */
export interface UnwrapReason {
  readonly scheme: string
  /** Position in the wrap list; absent if the whole list was passed over. */
  readonly index?: number
  readonly code: string
  readonly message: string
}

/** A layer whose key was found. */
export interface OpenedLayer {
  readonly cipher: LayerCipher
  /** Digest of the decrypted blob as noted at encryption; compare it, and check diff_id always. */
  readonly digest?: string
  /** Scheme that gave the key. */
  readonly scheme: string
}

/**
 * Finds the key of an encrypted layer: reads its public options, then tries every wrapped key
 * (docs/formats/ocicrypt.md). Public options are judged first, so that a broken layer costs no
 * request. Throws `LAYER_OPTIONS_INVALID`, `LAYER_CIPHER_UNSUPPORTED`, `LAYER_KEY_UNAVAILABLE`.
 */
export async function openLayer(
  annotations: Annotations,
  unwrappers: readonly Unwrapper[],
  options: UnwrapOptions = {},
): Promise<OpenedLayer> {
  const publicOptions = publicOptionsOf(annotations)
  const { privateOptions, scheme } = await unwrapLayer(annotations, unwrappers, options)
  const { digest } = privateOptions
  const cipher = layerCipher(publicOptions, privateOptions)
  return { cipher, scheme, ...(digest === undefined ? {} : { digest }) }
}

/**
 * Tries the wrapped keys of a layer until one opens. A scheme is matched by its exact name;
 * unknown schemes are named in the error, not fatal by themselves. An element that is not
 * base64 ends its scheme, one that does not open only itself. Throws `LAYER_KEY_UNAVAILABLE` with
 * every reason in `details.reasons`, or the reason of the signal if that was aborted.
 */
export async function unwrapLayer(
  annotations: Annotations,
  unwrappers: readonly Unwrapper[],
  options: UnwrapOptions = {},
): Promise<{ readonly privateOptions: PrivateOptions; readonly scheme: string }> {
  const failures = new Failures()
  for (const list of wrapLists(annotations)) {
    const matching = unwrappers.filter(({ scheme }) => scheme === list.scheme)
    if (matching.length === 0) {
      failures.add(list.scheme, undefined, unknownScheme(list.scheme, unwrappers))
      continue
    }
    const privateOptions = await tryList(list, matching, options, failures)
    if (privateOptions !== undefined) return { privateOptions, scheme: list.scheme }
  }
  throw failures.combined()
}

async function tryList(
  list: WrapList,
  unwrappers: readonly Unwrapper[],
  options: UnwrapOptions,
  failures: Failures,
): Promise<PrivateOptions | undefined> {
  const elements = wrappedKeys(list)
  for (let index = 0; ; index += 1) {
    let next: IteratorResult<Uint8Array>
    try {
      next = elements.next()
    } catch (error) {
      failures.add(list.scheme, index, error)
      return undefined
    }
    if (next.done === true) return undefined
    for (const unwrapper of unwrappers) {
      options.signal?.throwIfAborted()
      try {
        const opened = await unwrapper.unwrap(next.value, options)
        try {
          return parsePrivateOptions(opened)
        } finally {
          opened.fill(0)
        }
      } catch (error) {
        options.signal?.throwIfAborted()
        failures.add(list.scheme, index, error)
      }
    }
  }
}

/** Collects reasons and joins them into the one error that lists them all. */
class Failures {
  readonly #reasons: UnwrapReason[] = []
  readonly #errors: unknown[] = []

  add(scheme: string, index: number | undefined, error: unknown): void {
    // An error without a code is a defect, not a reason: it must not read as "wrong key".
    if (!isCoded(error)) throw error
    const position = index === undefined ? {} : { index }
    this.#reasons.push({ scheme, ...position, code: error.code, message: error.message })
    this.#errors.push(error)
  }

  combined(): OcicryptError {
    const coded = this.#errors.filter((error) => isCoded(error))
    const correlationId = coded.find((error) => error.correlationId)?.correlationId
    const only = coded.length === 1 ? coded[0] : undefined
    const lines = this.#reasons.map(({ scheme, index, code, message }) => {
      const place = index === undefined ? printable(scheme) : `${printable(scheme)}[${index}]`
      return `${place}: ${message} [${code}]`
    })
    const found = lines.length > 0 ? lines.join('; ') : 'the layer carries no wrapped keys'
    return new OcicryptError('LAYER_KEY_UNAVAILABLE', `finding the key of a layer: ${found}`, {
      cause: only ?? (coded.length > 0 ? new AggregateError(coded) : undefined),
      details: { reasons: this.#reasons },
      ...(only?.next === undefined ? {} : { next: only.next }),
      ...(coded.some((error) => error.retryable === true) ? { retryable: true } : {}),
      ...(correlationId === undefined ? {} : { correlationId }),
    })
  }
}

function unknownScheme(scheme: string, unwrappers: readonly Unwrapper[]): OcicryptError {
  const known = ['jwe', 'provider.attestation-agent', ...unwrappers.map((each) => each.scheme)]
  const found = known.includes(scheme) ? 'no key for it was given' : 'the scheme is not supported'
  return new OcicryptError('SCHEME_UNSUPPORTED', `opening scheme ${printable(scheme)}: ${found}`)
}

function printable(scheme: string): string {
  return /^[\w.-]{1,128}$/.test(scheme) ? scheme : 'with an odd name'
}
