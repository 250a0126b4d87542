import { createHash } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { fromBase64, toHex } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import type { JsonValue } from '#lib/json'
import { jsonLine } from '#lib/json-lines'
import { mrEnclave } from '#lib/manifest'
import { readBundle } from '../../launcher/signed-bundle.ts'
import { cancellable } from '../cancellable.ts'
import { channelLines, JobChannel } from '../channel.ts'
import { endInit } from '../enclave-end.ts'
import { failureOf } from '../failure.ts'
import type { RunJob, SpareJob } from '../job.ts'
import { watchForKilled } from '../killed-watch.ts'
import { LaunchedPod } from '../launched-pod.ts'
import { processStart } from '../process-start.ts'
import type { WorkFolder } from '../store.ts'
import { TimeLimit } from '../time-limit.ts'
import { within } from '../within.ts'
import { GO_MS } from './claim-limits.ts'
import { END_SPARE } from './end-spares.ts'
import { removeOrphan } from './orphan.ts'
import { PoolFolder } from './pool-folder.ts'
import { isWanted } from './pool-key.ts'
import type { SpareEntry } from './spare-entry.ts'

/** How often a spare looks whether it is still wanted. */
const LOOK_MS = 500
/** Less than whoever ends a spare waits before he kills it. */
const SHUTDOWN_MS = 1000
/** How long enclaves and scratch may take altogether: far longer than on the slowest of machines. */
const READY_MS = 30_000
/** How long somebody who wants a spare may take to say for what. */
const CLAIM_MS = 5000

/** A job for a spare, and the enclaves that it has waiting. */
export interface ClaimedSpare {
  readonly job: RunJob
  readonly channel: JobChannel
  readonly pod: LaunchedPod
}

/** What a spare works with. */
export interface SpareOptions {
  readonly job: SpareJob
  /** Its own folder: the spool is there. */
  readonly work: WorkFolder
  /** Name of the mount namespace that commands run in. */
  readonly mounts: string
  /** Gives its place in the pool up. */
  readonly leave: () => void
  readonly abort: AbortController
}

/**
 * Starts the enclaves of a pod and waits for a container that wants them. Undefined when nobody wants
 * them any more; then they are gone. Throws where they could not be started, or ended.
 */
export async function waitAsSpare(options: SpareOptions): Promise<ClaimedSpare | undefined> {
  const { job, work, abort } = options
  const folder = new PoolFolder(job.state, job.key)
  let decided = false
  // once it is a container's, or ends anyway, nobody ends it as a spare any more
  const end = (): void => {
    if (!decided) abort.abort(new CodedError('INTERRUPTED', 'the spare is not wanted'))
  }
  process.on(END_SPARE, end)
  const entry = entryOf(job)
  folder.save(entry)
  await using stack = new AsyncDisposableStack()
  let given: Claim | undefined
  // last: the enclaves need not wait for what becomes of the command
  stack.defer(async () => {
    if (given !== undefined) await removeOrphan(given.job)
  })
  using _watch = watch(options, folder, end)
  using limit = new TimeLimit(READY_MS, notReady)
  const starting = AbortSignal.any([abort.signal, limit.signal])
  const pod = stack.use(await LaunchedPod.launch(job, work.path))
  const { agent, init } = await cancellable(pod.enclaves, starting)
  for (const { process } of [agent, init]) void process.ended.then(end)
  const killed = stack.use(watchForKilled(init.process))
  stack.defer(async () => {
    decided = true
    await endInit(init, SHUTDOWN_MS)
  })
  if (job.scratch !== undefined) {
    await cancellable(pod.prepareScratch(job.scratch), starting)
  }
  limit[Symbol.dispose]()
  // what it was started for may have changed while it read it
  if (!isCurrent(options)) return undefined
  using door = await Door.open(folder.socket(job.id), job.key)
  void door.claim.then((claim) => {
    given = claim
  })
  // first, so that its command waits for nothing
  stack.defer(() => void given?.socket.end())
  folder.save({
    ...entry,
    state: 'ready',
    agentPid: agent.process.pid,
    initPid: init.process.pid,
  })
  const claim = await cancellable(door.claim, abort.signal)
  const live = (): boolean =>
    [agent, init].every(({ process }) => processStart(process.pid) !== undefined)
  if (abort.signal.aborted || !live() || claim.job.pool.key !== job.key || !isCurrent(options)) {
    return undefined
  }
  decided = true
  const channel = new JobChannel(claim.socket, claim.lines)
  void channel.send({ event: 'claimed' })
  // while the command reads that
  options.leave()
  const lost = Promise.race([agent.process.ended, init.process.ended])
  // A command that could not wait has started another supervisor by then, or nothing: it says so, or its end does.
  const order = await cancellable(firstOrder(channel, lost), abort.signal)
  if (order === 'lost' || (order === 'go' && !live())) {
    const message = 'an enclave that waited for this container ended before it began'
    await channel.send({ event: 'failed', ...failureOf(new CodedError('ENCLAVE_LOST', message)) })
    return undefined
  }
  if (order !== 'go') return undefined
  stack.move()
  killed[Symbol.dispose]()
  return { job: claim.job, channel, pod }
}

/** What a command that has been answered says first; nothing if that is not `go`, or does not come in time. */
async function firstOrder(
  channel: JobChannel,
  lost: Promise<unknown>,
): Promise<'go' | 'lost' | undefined> {
  const said = channel
    .next()
    .then((order) => ((order as { op?: unknown } | undefined)?.op === 'go' ? 'go' : undefined))
  return await within(Promise.race([said, lost.then(() => 'lost' as const)]), GO_MS)
}

function notReady(): CodedError {
  const found = `enclaves and scratch were not there after ${READY_MS / 1000} s`
  return new CodedError('ENCLAVE_START_FAILED', found)
}

function isCurrent({ job, mounts }: SpareOptions): boolean {
  return isWanted(job, job.key, mounts)
}

function entryOf(job: SpareJob): SpareEntry {
  const initData = fromBase64(job.initData, 'init-data')
  return {
    id: job.id,
    state: 'starting',
    createdAt: new Date().toISOString(),
    initDataDigest: createHash('sha256').update(initData).digest('hex'),
    mrEnclave: toHex(mrEnclave(readBundle(job.bundle).agent.manifest)),
    supervisorPid: process.pid,
    supervisorStart: processStart(process.pid) ?? '0',
    agentPid: 0,
    initPid: 0,
  }
}

// A supervisor that was killed ends no spares, so they look themselves.
function watch(options: SpareOptions, folder: PoolFolder, end: () => void): Disposable {
  let alone: number | undefined
  const timer = setInterval(() => {
    if (folder.hasLife()) alone = undefined
    else alone ??= performance.now()
    const over = alone !== undefined && performance.now() - alone >= options.job.linger
    if (over || !isCurrent(options)) end()
  }, LOOK_MS)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

interface Claim {
  readonly job: RunJob
  readonly socket: Socket
  readonly lines: AsyncGenerator<JsonValue>
}

/**
 * Where a spare is claimed: it greets who comes, and the first who then hands it a job has it. Whoever
 * comes meanwhile is turned away and starts cold, and so does everybody later.
 */
class Door implements Disposable {
  readonly claim: Promise<Claim>
  readonly #server: Server
  readonly #claimed = Promise.withResolvers<Claim>()
  #busy: Socket | undefined
  #taken = false

  private constructor(key: string) {
    this.claim = this.#claimed.promise
    this.#server = createServer((socket) => {
      socket.on('error', () => {})
      if (this.#busy !== undefined) socket.destroy()
      else void this.#hear(socket, key)
    })
  }

  static async open(path: string, key: string): Promise<Door> {
    const door = new Door(key)
    await new Promise<void>((resolve, reject) => {
      door.#server.once('error', reject)
      const before = process.umask(0o077)
      door.#server.listen(path, resolve)
      process.umask(before)
    })
    return door
  }

  async #hear(socket: Socket, key: string): Promise<void> {
    this.#busy = socket
    const patience = setTimeout(() => socket.destroy(), CLAIM_MS)
    const lines = channelLines(socket)
    try {
      socket.write(jsonLine({ event: 'spare', key }))
      const { value, done } = await lines.next()
      if (done === true) return
      this.#taken = true
      this.#server.close()
      this.#claimed.resolve({ job: value as unknown as RunJob, socket, lines })
    } catch {
      // somebody who does not speak our language
    } finally {
      clearTimeout(patience)
      this.#busy = this.#taken ? socket : undefined
      if (!this.#taken) socket.destroy()
    }
  }

  [Symbol.dispose](): void {
    if (!this.#taken) this.#busy?.destroy()
    this.#server.close()
  }
}
