import { closeSync, mkdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fromHex } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { object, parseJson } from '#lib/json'
import { returnToMounts } from '#platform/process'
import { releaseBundle } from '../launcher/bundle-mount.ts'
import { say } from '../launcher/own-words.ts'
import { cancellable } from './cancellable.ts'
import { JobChannel } from './channel.ts'
import { failureOf } from './failure.ts'
import type { AttestJob, Job, JobEvent, RunJob, SpareJob } from './job.ts'
import { LaunchedPod, openPod, openPodLog } from './launched-pod.ts'
import { PoolFolder } from './pool/pool-folder.ts'
import { PoolKeeper } from './pool/pool-keeper.ts'
import { type ClaimedSpare, waitAsSpare } from './pool/spare.ts'
import { SPARE_FAILED } from './pool/start-spare.ts'
import { runContainer } from './run-container.ts'
import { ContainerStore } from './store.ts'

/** What the program was started with. */
export interface SuperviseOptions {
  readonly holdFd: number
  readonly channelFd: number
  /** Descriptor of the mount namespace that the bundle is mounted in. */
  readonly homeNamespace: number
  /** Lock of a spare's place in the pool. */
  readonly placeFd: number | undefined
}

/** Does one job from the channel and leaves nothing behind but its result. Never throws. */
export async function supervise(options: SuperviseOptions): Promise<void> {
  const channel = JobChannel.ofDescriptor(options.channelFd)
  const job = (await channel.next()) as unknown as Job | undefined
  if (job === undefined) return
  const abort = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(name, () => abort.abort(new CodedError('INTERRUPTED', `interrupted by ${name}`)))
  }
  const spare = job.kind === 'spare'
  const { result, to } = spare
    ? await asSpare(job, channel, abort, options)
    : { result: await resultOf(job, channel, abort, options), to: channel }
  // The bundle is mounted in the namespace that this process was started in.
  try {
    returnToMounts(options.homeNamespace)
    releaseBundle(job.bundleDir, options.holdFd)
  } catch (error) {
    say(`releasing the bundle: ${String(error)}`)
  }
  // Last, when all else is gone: a command that does not read keeps nothing but this process.
  if (result !== undefined) await to.send(result)
  to.close()
}

async function resultOf(
  job: RunJob | AttestJob,
  channel: JobChannel,
  abort: AbortController,
  options: SuperviseOptions,
): Promise<JobEvent> {
  try {
    if (job.kind === 'attest') return await attest(job, channel, abort)
    const openPod = (folder: string): Promise<LaunchedPod> => LaunchedPod.launch(job, folder)
    const keeper = PoolKeeper.join(job, options)
    return { event: 'exit', record: await runContainer(job, channel, abort, openPod, keeper) }
  } catch (error) {
    return { event: 'failed', ...failureOf(error) }
  }
}

// Waits for a container, and then is its supervisor. Its place in the pool is given up when it is
// claimed, and else when all of it is gone: who waits for its end waits for that.
async function asSpare(
  job: SpareJob,
  channel: JobChannel,
  abort: AbortController,
  options: SuperviseOptions,
): Promise<{ readonly result?: JobEvent; readonly to: JobChannel }> {
  channel.close()
  const folder = new PoolFolder(job.state, job.key)
  const mounts = readlinkSync(`/proc/self/fd/${options.homeNamespace}`)
  let left = false
  const leave = (): void => {
    if (left || options.placeFd === undefined) return
    left = true
    folder.forget(job.id)
    closeSync(options.placeFd)
  }
  try {
    using own = new DisposableStack()
    const work = own.use(new ContainerStore(job).work(`spare-${job.id}`))
    mkdirSync(join(work.path, 'spool'), { mode: 0o700 })
    const claimed = await waitAsSpare({ job, work, mounts, leave, abort })
    if (claimed !== undefined) {
      const take = (folder: string): LaunchedPod => {
        claimed.pod.moveTo(folder)
        own.dispose()
        return claimed.pod
      }
      return { result: await claimedResult(claimed, take, abort, options), to: claimed.channel }
    }
  } catch (error) {
    if (!abort.signal.aborted) {
      say(`spare ${job.id}: ${String(error)}`)
      process.exitCode = SPARE_FAILED
    }
  } finally {
    leave()
    folder.tidy()
  }
  return { to: channel }
}

async function claimedResult(
  { job, channel, pod }: ClaimedSpare,
  take: (folder: string) => LaunchedPod,
  abort: AbortController,
  options: SuperviseOptions,
): Promise<JobEvent> {
  try {
    const keeper = PoolKeeper.join(job, options)
    const record = await runContainer(job, channel, abort, async (folder) => take(folder), keeper)
    return { event: 'exit', record }
  } catch (error) {
    return { event: 'failed', ...failureOf(error) }
  } finally {
    // where the container failed before it took the pod over
    await pod[Symbol.asyncDispose]()
  }
}

async function attest(
  job: AttestJob,
  channel: JobChannel,
  abort: AbortController,
): Promise<JobEvent> {
  using folder = new ContainerStore(job).work(job.id)
  mkdirSync(join(folder.path, 'spool'), { mode: 0o700 })
  void watchCancel(channel, abort)
  using log = openPodLog(folder.path)
  await using pod = await openPod(job, folder.path, log)
  const { calls } = await cancellable(pod.agent(), abort.signal)
  const { json } = await cancellable(
    calls.attest({
      resource: job.resource,
      reportData: fromHex(job.reportData, 'report data'),
      explain: job.explain,
    }),
    abort.signal,
  )
  return { event: 'attested', document: object(parseJson(json), 'Attest') }
}

async function watchCancel(channel: JobChannel, abort: AbortController): Promise<void> {
  for (let line = await channel.next(); line !== undefined; line = await channel.next()) {
    if ((line as { op?: unknown }).op === 'cancel') break
  }
  abort.abort(new CodedError('INTERRUPTED', 'the command that asked for it is gone'))
}
