import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fromBase64, fromHex } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { object, parseJson } from '#lib/json'
import { returnToMounts } from '#platform/process'
import { releaseBundle } from '../launcher/bundle-mount.ts'
import { readBundle } from '../launcher/signed-bundle.ts'
import { cancellable } from './cancellable.ts'
import { JobChannel } from './channel.ts'
import { failureOf } from './failure.ts'
import type { AttestJob, Job, JobEvent } from './job.ts'
import { Pod } from './pod.ts'
import { runContainer } from './run-container.ts'
import { ContainerStore } from './store.ts'

/** What the program was started with. */
export interface SuperviseOptions {
  readonly holdFd: number
  readonly channelFd: number
  /** Descriptor of the mount namespace that the bundle is mounted in. */
  readonly homeNamespace: number
}

/** Does one job from the channel and leaves nothing behind but its result. Never throws. */
export async function supervise(options: SuperviseOptions): Promise<void> {
  const channel = new JobChannel(options.channelFd)
  const job = (await channel.next()) as unknown as Job | undefined
  if (job === undefined) return
  const abort = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(name, () => abort.abort(new CodedError('INTERRUPTED', `interrupted by ${name}`)))
  }
  const result = await resultOf(job, channel, abort)
  // The bundle is mounted in the namespace that this process was started in.
  try {
    returnToMounts(options.homeNamespace)
    releaseBundle(job.bundleDir, options.holdFd)
  } catch (error) {
    process.stderr.write(`releasing the bundle: ${String(error)}\n`)
  }
  // Last, when all else is gone: a command that does not read keeps nothing but this process.
  await channel.send(result)
  channel.close()
}

async function resultOf(job: Job, channel: JobChannel, abort: AbortController): Promise<JobEvent> {
  try {
    if (job.kind === 'attest') return await attest(job, channel, abort)
    const openPod = (spool: string, logFd: number): Promise<Pod> => open(job, spool, logFd)
    return { event: 'exit', record: await runContainer(job, channel, abort, openPod) }
  } catch (error) {
    return { event: 'failed', ...failureOf(error) }
  }
}

async function open(job: Job, spool: string, logFd: number): Promise<Pod> {
  return await Pod.open({
    platformDir: join(job.root, 'platform'),
    bundle: readBundle(job.kind === 'run' ? job.record.bundle : job.bundle),
    bundleRoot: job.bundleRoot,
    spool,
    initData: fromBase64(job.initData, 'init-data'),
    logFd,
  })
}

async function attest(
  job: AttestJob,
  channel: JobChannel,
  abort: AbortController,
): Promise<JobEvent> {
  using folder = new ContainerStore(job).work(job.id)
  const spool = join(folder.path, 'spool')
  mkdirSync(spool, { mode: 0o700 })
  const logFd = openSync(join(folder.path, 'agent.log'), 'a', 0o600)
  using _logFd = { [Symbol.dispose]: () => closeSync(logFd) }
  void watchCancel(channel, abort)
  await using pod = await open(job, spool, logFd)
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
