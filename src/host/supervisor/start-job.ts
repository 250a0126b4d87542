import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { toBase64 } from '#lib/bytes'
import type { CommandContext } from '#lib/command'
import { CodedError } from '#lib/errors'
import { jsonLine } from '#lib/json-lines'
import { socketPair } from '#platform/socket-pair'
import { LayerStore } from '../cache/layer-store.ts'
import { holdBundle, type MountedBundle } from '../launcher/bundle-mount.ts'
import { channelLines } from './channel.ts'
import type { Job, JobBase, JobEvent, JobOrder } from './job.ts'
import { jobEvents } from './job-events.ts'
import { nodeLog, openNodeLog } from './node-log.ts'

// one supervisor a container: what each of them costs in memory counts
const NODE_FLAGS = [
  '--disable-warning=ExperimentalWarning',
  '--max-semi-space-size=2',
  '--v8-pool-size=1',
]
/** A job that a supervisor works on. */
export interface StartedJob {
  /** Ends after the last event. Throws CodedError SUPERVISOR_LOST when the supervisor is gone before. */
  readonly events: AsyncIterable<JobEvent>
  order(order: JobOrder): void
  /** Lets go: the supervisor goes on by itself. */
  detach(): void
}

/** What every job needs, read from the command's places; `bundle` and `initData` may be overridden. */
export interface JobInputs {
  readonly bundle: MountedBundle
  readonly base: JobBase
  readonly bundleDir: string
}

/** Reads init-data and mounts the bundle. Throws CodedError ROOT_REQUIRED, INIT_DATA_MISSING, BUNDLE_…. */
export function openInputs(
  context: CommandContext,
  options: { readonly bundle: string | undefined; readonly initData: string | undefined },
): JobInputs {
  if (process.getuid?.() !== 0) throw new CodedError('ROOT_REQUIRED', 'this command needs root')
  const { root, state } = context.places
  const cacheMaxSize = context.cache.maxSize
  const file = options.initData ?? context.places.initData
  let initData: Uint8Array
  try {
    initData = readFileSync(file)
  } catch (cause) {
    throw new CodedError('INIT_DATA_MISSING', `reading init-data ${file} failed`, { cause })
  }
  mkdirSync(root, { recursive: true, mode: 0o700 })
  mkdirSync(state, { recursive: true, mode: 0o700 })
  if (cacheMaxSize > 0) new LayerStore(root).create()
  // the supervisor reads it too, from another directory
  const bundleDir = resolve(options.bundle ?? join(root, 'bundles', 'default'))
  const bundle = holdBundle(bundleDir, { root, state })
  return {
    bundle,
    bundleDir,
    base: {
      root,
      state,
      cacheMaxSize,
      bundleRoot: bundle.root,
      bundleDir: bundle.base,
      initData: toBase64(initData),
      initDataFile: file,
      bundle: bundleDir,
    },
  }
}

/**
 * Starts a supervisor for a job, in a session of its own. It runs the bundle's node binary, so that
 * all processes of a node share its pages, and inherits the hold on the bundle mount.
 */
export function startJob(context: CommandContext, inputs: JobInputs, job: Job): StartedJob {
  const logFile = nodeLog(job.root)
  const logFd = openNodeLog(logFile)
  const channel = socketPair()
  const child = spawn(
    join(inputs.bundle.root, 'usr/bin/node'),
    [...NODE_FLAGS, join(context.program.dist, 'supervisor.cjs')],
    {
      cwd: '/',
      detached: true,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ENCLAVE_CC_STATE: job.state },
      stdio: ['ignore', logFd, logFd, inputs.bundle.holdFd, channel.theirs],
    },
  )
  channel.closeTheirs()
  closeSync(logFd)
  child.on('error', (error) => channel.ours.destroy(error))
  child.unref()
  channel.ours.on('error', () => {})
  channel.ours.write(jsonLine(job))
  return {
    events: jobEvents(channelLines(channel.ours), logFile),
    order: (order) => {
      if (channel.ours.writable) channel.ours.write(jsonLine(order))
    },
    detach: () => channel.ours.destroy(),
  }
}
