import {
  constants,
  createGunzip,
  createZstdDecompress,
  type Gunzip,
  type ZstdDecompress,
} from 'node:zlib'
import type { LayerCompression } from '#lib/oci'
import { LayerError } from './layer-error.ts'

/** Output buffer: one, reused. */
const OUTPUT = 256 * 1024

/** Largest zstd window, log2: 8 MiB. */
const ZSTD_WINDOW_LOG = 23

type Inflater = Gunzip | ZstdDecompress

/**
 * Decompresses a stream of blocks. Views are valid until the next is asked for. Takes any number of
 * gzip members or zstd frames and nothing else. Throws LayerError `LAYER_COMPRESSION`.
 */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  compression: LayerCompression,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (compression === 'none') {
    yield* source
    return
  }
  const inflater = createInflater(compression)
  try {
    const handle = handleOf(inflater)
    const finish = compression === 'gzip' ? constants.Z_FINISH : constants.ZSTD_e_end
    yield* handle === undefined ? inflateStream(source, inflater) : inflate(source, handle, finish)
  } finally {
    inflater.destroy()
  }
}

/** Where the pinned runtime's internals have the shape we know; undefined elsewhere. */
export function handleOf(inflater: object): InflateHandle | undefined {
  const { _handle: handle, _writeState: state } = inflater as {
    _handle?: Partial<RawHandle>
    _writeState?: unknown
  }
  const known =
    typeof handle?.writeSync === 'function' && state instanceof Uint32Array && state.length === 2
  return known ? new InflateHandle(handle as RawHandle, state) : undefined
}

interface RawHandle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void
  onerror: (message: string, errno: number, code: string) => void
}

/**
 * The zlib object behind a stream, driven directly: twice as fast as the stream, and one output
 * buffer for all. Undocumented, hence `handleOf`, a test on the pinned runtime, and the stream beside it.
 */
export class InflateHandle {
  readonly #handle: RawHandle
  /** Set by the handle: bytes left in the output, bytes left in the input. */
  readonly #state: Uint32Array
  readonly #output: Uint8Array = new Uint8Array(OUTPUT)
  #error: string | undefined

  constructor(handle: RawHandle, state: Uint32Array) {
    this.#handle = handle
    this.#state = state
    handle.onerror = (_message, _errno, code) => {
      this.#error = code
    }
  }

  /** One step: what came out, and how much of the input was taken. */
  step(flush: number, input: Uint8Array): { output: Uint8Array; taken: number; full: boolean } {
    this.#handle.writeSync(flush, input, 0, input.length, this.#output, 0, OUTPUT)
    if (this.#error !== undefined) throw broken(this.#error)
    const [outputLeft = 0, inputLeft = 0] = this.#state
    return {
      output: this.#output.subarray(0, OUTPUT - outputLeft),
      taken: input.length - inputLeft,
      full: outputLeft === 0,
    }
  }
}

async function* inflate(
  source: AsyncIterable<Uint8Array>,
  handle: InflateHandle,
  finish: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const block of source) {
    let input = block
    for (let more = input.length > 0; more; ) {
      const { output, taken, full } = handle.step(constants.Z_NO_FLUSH, input)
      if (output.length > 0) yield output
      input = input.subarray(taken)
      // After the last member zlib takes nothing more: what is left is no member.
      if (taken === 0 && output.length === 0 && input.length > 0) {
        throw trailing()
      }
      more = full || input.length > 0
    }
  }
  for (let more = true; more; ) {
    const { output, full } = handle.step(finish, new Uint8Array(0))
    if (output.length > 0) yield output
    more = full
  }
}

/** The documented way, for a runtime whose internals differ. */
export async function* inflateStream(
  source: AsyncIterable<Uint8Array>,
  inflater: Inflater,
): AsyncGenerator<Uint8Array, void, undefined> {
  let failure: unknown
  let fed = 0
  const feed = async (): Promise<void> => {
    for await (const block of source) {
      fed += block.length
      // The block is reused by its source, the stream keeps it.
      if (!inflater.write(Uint8Array.from(block))) {
        await new Promise<void>((resolve) => {
          inflater.once('drain', resolve)
          inflater.once('close', resolve)
        })
      }
      if (inflater.destroyed) return
    }
    inflater.end()
  }
  const feeding = feed().catch((error: unknown) => {
    failure = error
    inflater.destroy()
  })
  try {
    for await (const output of inflater) yield output as Uint8Array
  } catch (error) {
    if (failure !== undefined) throw failure
    throw broken((error as { code?: string }).code ?? 'unknown')
  } finally {
    inflater.destroy()
    await feeding
  }
  if (failure !== undefined) throw failure
  // Zeros after the last member are left alone by zlib, without an error.
  if (inflater.bytesWritten !== fed) throw trailing()
}

/** A gzip or zstd stream with our limits. */
export function createInflater(compression: 'gzip' | 'zstd'): Inflater {
  // Not `rejectGarbageAfterEnd`: for gzip it takes a second member for garbage.
  if (compression === 'gzip') return createGunzip({ chunkSize: OUTPUT })
  return createZstdDecompress({
    chunkSize: OUTPUT,
    params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
  })
}

function trailing(): LayerError {
  return new LayerError('LAYER_COMPRESSION', 'decompressing a layer: data follows its end')
}

function broken(code: string): LayerError {
  return new LayerError('LAYER_COMPRESSION', `decompressing a layer: it is damaged (${code})`)
}
