import { mkdirSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fromBase64, fromHex } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { parseJson } from '#lib/json'
import { returnToMounts } from '#platform/process'
import { releaseBundle } from '../launcher/bundle-mount.ts'
import { readBundle } from '../launcher/signed-bundle.ts'
import { cancellable } from './cancellable.ts'
import { JobChannel } from './channel.ts'
import { failureOf } from './failure.ts'
import type { AttestJob, Job } from './job.ts'
import { Pod } from './pod.ts'
import { runContainer } from './run-container.ts'

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
  try {
    if (job.kind === 'run')
      await runContainer(job, channel, abort, (spool, logFd) => open(job, spool, logFd))
    else await attest(job, channel, abort)
  } catch (error) {
    await channel.send({ event: 'failed', ...failureOf(error) })
  } finally {
    // The bundle is mounted in the namespace that this process was started in.
    try {
      returnToMounts(options.homeNamespace)
      releaseBundle(job.bundleDir, options.holdFd)
    } catch (error) {
      process.stderr.write(`releasing the bundle: ${String(error)}\n`)
    }
    channel.close()
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

async function attest(job: AttestJob, channel: JobChannel, abort: AbortController): Promise<void> {
  const folder = join(job.root, 'containers', job.id)
  mkdirSync(join(folder, 'spool'), { recursive: true, mode: 0o700 })
  try {
    const logFd = openSync(join(folder, 'agent.log'), 'a', 0o600)
    await using pod = await open(job, join(folder, 'spool'), logFd)
    void watchCancel(channel, abort)
    const { calls } = await pod.agent()
    const { json } = await cancellable(
      calls.attest({
        resource: job.resource,
        reportData: fromHex(job.reportData, 'report data'),
        explain: job.explain,
      }),
      abort.signal,
    )
    const document = parseJson(json) as Record<string, unknown>
    await channel.send({ event: 'attested', document })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function watchCancel(channel: JobChannel, abort: AbortController): Promise<void> {
  for (let line = await channel.next(); line !== undefined; line = await channel.next()) {
    if ((line as { op?: unknown }).op === 'cancel') break
  }
  abort.abort(new CodedError('INTERRUPTED', 'the command that asked for it is gone'))
}
