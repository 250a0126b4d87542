import {
  constants,
  createGunzip,
  createZstdDecompress,
  type Gunzip,
  type ZstdDecompress,
} from 'node:zlib'
import type { LayerCompression } from '#lib/oci'
import { LayerError } from './layer-error.ts'

/** Bytes of an output buffer. */
const OUTPUT = 256 * 1024
const EMPTY = new Uint8Array(0)

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
  const owner = Object.getOwnPropertySymbols(handle ?? {}).find(
    ({ description }) => description === 'owner_symbol',
  )
  const known =
    typeof handle?.write === 'function' &&
    owner !== undefined &&
    state instanceof Uint32Array &&
    state.length === 2
  return known ? new InflateHandle(handle as RawHandle, owner, state) : undefined
}

interface RawHandle {
  write(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void
  onerror: (message: string, errno: number, code: string) => void
  /** What the runtime calls after a write whose stream is gone. */
  cb: () => void
  [name: symbol]: unknown
}

/** One step: what came out, and how much of the input was taken. */
interface Step {
  readonly output: Uint8Array
  readonly taken: number
  readonly full: boolean
}

/**
 * The zlib object behind a stream, driven directly: it works on a thread of the pool while the last output
 * is being used, and two output buffers are enough for all. Undocumented, hence `handleOf`, a test on
 * the pinned runtime, and the stream beside it.
 */
export class InflateHandle {
  readonly #handle: RawHandle
  /** Set by the handle: bytes left in the output, bytes left in the input. */
  readonly #state: Uint32Array
  #output: Uint8Array = new Uint8Array(OUTPUT)
  #other: Uint8Array = new Uint8Array(OUTPUT)

  constructor(handle: RawHandle, owner: symbol, state: Uint32Array) {
    this.#handle = handle
    this.#state = state
    // A stream that is gone is left alone: the runtime only calls `cb` then.
    handle[owner] = { destroyed: true }
  }

  /**
   * Begins a step, one at a time. Its output is valid until the next but one begins. The thread uses the
   * memory of both buffers until the promise settles: wait for that before anything is given up.
   */
  step(flush: number, input: Uint8Array): Promise<Step> {
    const { promise, resolve, reject } = Promise.withResolvers<Step>()
    const output = this.#output
    this.#output = this.#other
    this.#other = output
    this.#handle.cb = () => {
      const [outputLeft = 0, inputLeft = 0] = this.#state
      resolve({
        output: output.subarray(0, OUTPUT - outputLeft),
        taken: input.length - inputLeft,
        full: outputLeft === 0,
      })
    }
    this.#handle.onerror = (_message, _errno, code) => reject(broken(code))
    this.#handle.write(flush, input, 0, input.length, output, 0, OUTPUT)
    // It may fail while nobody waits for it yet.
    promise.catch(() => {})
    return promise
  }
}

async function* inflate(
  source: AsyncIterable<Uint8Array>,
  handle: InflateHandle,
  finish: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const blocks = source[Symbol.asyncIterator]()
  let input: Uint8Array = EMPTY
  let [full, ended, done] = [false, false, false]
  // A block is valid until the next is asked for: not before all of it was taken.
  const begin = async (): Promise<Promise<Step>[]> => {
    while (!ended && !full && input.length === 0) {
      const block = await blocks.next()
      if (block.done === true) ended = true
      else input = block.value
    }
    return done ? [] : [handle.step(ended ? finish : constants.Z_NO_FLUSH, input)]
  }
  let running = await begin()
  try {
    for (let [step] = running; step !== undefined; [step] = running) {
      const { output, taken, full: more } = await step
      // After the last member zlib takes nothing more: what is left is no member.
      if (!ended && taken === 0 && output.length === 0 && input.length > 0) throw trailing()
      input = input.subarray(taken)
      full = more
      done = ended && !full
      running = []
      running = await begin()
      if (output.length > 0) yield output
    }
  } finally {
    await Promise.allSettled(running)
    await blocks.return?.()
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
