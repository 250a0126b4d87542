import { randomBytes } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import type { FileLock } from '#platform/lock'
import { say } from '../../launcher/own-words.ts'
import type { RunJob } from '../job.ts'
import { endSpares } from './end-spares.ts'
import { PoolFolder } from './pool-folder.ts'
import { isWanted } from './pool-key.ts'
import { type SpareHost, startSpare } from './start-spare.ts'

/** A container that ends sooner starts no spare, and none is delayed by one. */
const SETTLED_MS = 1000
/** How often the pool is looked at afterwards: a spare may have been claimed, or have died. */
const LOOK_MS = 2000
/** After a spare that could not be started; doubled each time. */
const RETRY_MS = 10_000
const MAX_RETRY_MS = 600_000

/**
 * What the supervisor of a container does for the pool: it says that a container of its key lives, starts
 * spares where there are too few, and ends them if its container was the last.
 */
export class PoolKeeper {
  readonly #job: RunJob
  readonly #host: SpareHost
  readonly #folder: PoolFolder | undefined
  #live: FileLock | undefined
  #begun = false
  #timer: NodeJS.Timeout | undefined
  #retryMs = RETRY_MS
  #notBefore = 0

  private constructor(job: RunJob, host: SpareHost) {
    const { pool, state } = job
    this.#job = job
    this.#host = host
    this.#folder =
      pool.size === 0 || pool.key === undefined ? undefined : new PoolFolder(state, pool.key)
    this.#live = this.#folder?.live()
  }

  /** Joins the pool of a job, if it has one. */
  static join(job: RunJob, host: SpareHost): PoolKeeper {
    return new PoolKeeper(job, host)
  }

  /** The container runs: from now on there shall be spares. */
  begin(): void {
    this.#begun = true
    if (this.#live !== undefined) this.#lookIn(SETTLED_MS)
  }

  /** The container has ended. Resolves when no spare is left that only it kept. */
  async leave(): Promise<void> {
    clearTimeout(this.#timer)
    const [folder, live] = [this.#folder, this.#live]
    if (folder === undefined || live === undefined) return
    this.#live = undefined
    // with a linger also short containers, one after the other, find a spare
    if (this.#job.pool.linger > 0 && this.#begun) this.#tryFill()
    live[Symbol.dispose]()
    if (this.#job.pool.linger > 0) return
    if (!folder.hasLife()) await endSpares(folder)
  }

  #lookIn(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      this.#tryFill()
      this.#lookIn(LOOK_MS)
    }, milliseconds)
    this.#timer.unref()
  }

  // A container does not suffer from a pool that cannot be filled.
  #tryFill(): void {
    try {
      this.#fill()
    } catch (error) {
      say(`starting a spare: ${String(error)}`)
      this.#failed()
    }
  }

  #failed(): void {
    this.#notBefore = performance.now() + this.#retryMs
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS)
  }

  #fill(): void {
    const [folder, { pool, ...job }] = [this.#folder, this.#job]
    if (folder === undefined || pool.key === undefined || performance.now() < this.#notBefore)
      return
    using mutex = folder.mutex()
    if (mutex === undefined || folder.spares().length >= pool.size) return
    const mounts = readlinkSync(`/proc/self/fd/${this.#host.homeNamespace}`)
    if (!isWanted(job, pool.key, mounts)) return
    const id = randomBytes(4).toString('hex')
    using lock = folder.reserve(id)
    const { root, state, cacheMaxSize, bundleRoot, bundleDir, bundle } = job
    const { initData, initDataFile, scratch } = job
    const inputs = {
      root,
      state,
      cacheMaxSize,
      bundleRoot,
      bundleDir,
      bundle,
      initData,
      initDataFile,
      scratch,
    }
    const { key, linger } = pool
    const spare = { kind: 'spare', ...inputs, id, key, linger } as const
    startSpare(this.#host, lock, spare, () => this.#failed())
  }
}
