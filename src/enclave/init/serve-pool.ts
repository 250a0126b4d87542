import { closeSync } from 'node:fs'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { cloneFuse } from '#platform/fuse'
import { SCRATCH_NAME, type ScratchShare } from './scratch-file.ts'
import type { SealedFile } from './sealed-file.ts'
import type { ServeNews, ServeOrder } from './serve-worker.ts'

/** What became of the served files. */
export type ServeTrouble =
  | { readonly kind: 'tampered'; readonly file: string; readonly chunk: number }
  | { readonly kind: 'defect'; readonly cause: unknown }

/**
 * The threads that serve the scratch and the sealed layers. They are started before there is anything to serve, since
 * a thread takes 40 to 65 ms to start, and each ends when the mount has gone.
 */
export class ServePool {
  readonly #workers: Worker[] = []
  readonly #ready: Promise<unknown>
  readonly #ended: Promise<unknown>
  // [0 no, -1 being written, 1 set; file; chunk]; read without a message, so never too late.
  readonly #alarm = new Int32Array(new SharedArrayBuffer(12))
  readonly #closed: Int32Array
  // One a thread, which closes it at its end: what it had not answered fails then instead of hanging.
  #devices: number[] = []
  #files: readonly string[] = []
  #news: { readonly port: MessagePort; readonly count: Int32Array }[] = []
  #serving = false
  #defect: { readonly cause: unknown } | undefined
  #onTrouble: () => void = () => {}

  /** `entry` is a program that calls `runServeWorker`. */
  constructor(entry: string | URL, threads: number) {
    this.#closed = new Int32Array(new SharedArrayBuffer(4 * threads))
    const ready: Promise<void>[] = []
    const ended: Promise<void>[] = []
    for (let i = 0; i < threads; i += 1) {
      // No environment, no argument and no stdin of this process is any concern of the thread.
      // It closes a descriptor that this thread opened: Node would warn of that on the container's stderr.
      const worker = new Worker(entry, {
        env: {},
        argv: [],
        stdin: false,
        trackUnmanagedFds: false,
      })
      this.#workers.push(worker)
      ended.push(
        new Promise((resolve) =>
          worker.once('exit', () => {
            const device = this.#devices[i]
            // One that never got its order, or ended without running any code of ours.
            if (device !== undefined && Atomics.load(this.#closed, i) === 0) closeSync(device)
            resolve()
          }),
        ),
      )
      ready.push(
        new Promise((resolve) => {
          worker.on('message', (news: ServeNews) => {
            if (news.kind === 'ready') resolve()
            if (news.kind === 'alarm') this.#onTrouble()
          })
        }),
      )
      worker.on('error', (cause) => {
        this.#defect ??= { cause }
        this.#onTrouble()
      })
    }
    this.#ready = Promise.race([Promise.all(ready), Promise.all(ended)])
    this.#ended = Promise.all(ended)
  }

  /** Resolves when all threads wait for their order. */
  async ready(): Promise<void> {
    await this.#ready
    if (this.#defect !== undefined) throw this.#defect.cause
  }

  /**
   * Starts serving on the FUSE descriptor, which belongs to the pool from now on: the scratch, if there
   * is one, and what `addLayers` brings. Call it once, after `ready`.
   */
  serve(device: number, scratch: ScratchShare | undefined): void {
    this.#devices = [device]
    this.#files = scratch === undefined ? [] : [SCRATCH_NAME]
    while (this.#devices.length < this.#workers.length) this.#devices.push(cloneFuse(device))
    this.#workers.forEach((worker, i) => {
      const { port1, port2 } = new MessageChannel()
      const count = new Int32Array(new SharedArrayBuffer(4))
      const order: ServeOrder = {
        device: this.#devices[i] ?? device,
        scratch,
        news: { port: port2, count },
        alarm: this.#alarm,
        closed: this.#closed,
        index: i,
      }
      worker.postMessage(order, [port2])
      // Nobody answers on it, so it is no reason to go on.
      port1.unref()
      this.#news.push({ port: port1, count })
    })
    this.#serving = true
  }

  /** Serves these files too. They can be looked up as soon as it returns. */
  addLayers(files: readonly SealedFile[]): void {
    this.#files = [...this.#files, ...files.map(({ name }) => name)]
    for (const { port, count } of this.#news) {
      port.postMessage(files)
      // After the message: whoever sees the count finds it.
      Atomics.add(count, 0, 1)
    }
  }

  /** `act` is called once a chunk is not genuine or a thread failed; ask for `trouble` then. */
  onTrouble(act: () => void): void {
    this.#onTrouble = act
  }

  /** What went wrong so far, if anything did. */
  get trouble(): ServeTrouble | undefined {
    if (Atomics.load(this.#alarm, 0) !== 0) {
      const file = this.#files[Atomics.load(this.#alarm, 1)] ?? 'l?'
      return { kind: 'tampered', file, chunk: Atomics.load(this.#alarm, 2) }
    }
    return this.#defect === undefined ? undefined : { kind: 'defect', cause: this.#defect.cause }
  }

  /**
   * Resolves when every thread has ended. Threads that serve end when their mount has gone, so unmount
   * first; the others are ended here.
   */
  async end(): Promise<void> {
    if (!this.#serving) await Promise.all(this.#workers.map((worker) => worker.terminate()))
    await this.#ended
    for (const { port } of this.#news) port.close()
  }
}
