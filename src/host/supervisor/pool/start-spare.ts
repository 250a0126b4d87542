import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { jsonLine } from '#lib/json-lines'
import type { FileLock } from '#platform/lock'
import { inMounts } from '#platform/process'
import { socketPair } from '#platform/socket-pair'
import type { SpareJob } from '../job.ts'
import { nodeLog, openNodeLog } from '../node-log.ts'

/** Exit code of a spare whose enclaves could not be started. */
export const SPARE_FAILED = 1

/** What a supervisor lends to the spares that it starts. */
export interface SpareHost {
  /** Hold on the bundle mount; a spare inherits it. */
  readonly holdFd: number
  /** Descriptor of the mount namespace that commands run in. */
  readonly homeNamespace: number
}

/**
 * Starts a spare: a supervisor as this one is, in a session of its own and in the mounts of the commands,
 * not in those of this pod. It inherits the lock that its place is reserved with, so that its end, of
 * whatever kind, gives the place up. The log it has is opened anew: where each container takes the spare of
 * the one before, nobody else does, and one file would grow for ever. `onFailure` is called where it could
 * not make itself ready. Throws errno errors where there can be no log.
 */
export function startSpare(
  host: SpareHost,
  lock: FileLock,
  job: SpareJob,
  onFailure: () => void,
): void {
  const logFd = openNodeLog(nodeLog(job.root))
  const channel = socketPair()
  const [, program = ''] = process.argv
  try {
    const child = inMounts(host.homeNamespace, () =>
      spawn(process.execPath, [...process.execArgv, program, 'spare'], {
        cwd: '/',
        detached: true,
        env: process.env,
        stdio: ['ignore', logFd, logFd, host.holdFd, channel.theirs, lock.fd],
      }),
    )
    child.on('error', onFailure)
    child.on('exit', (code) => {
      if (code === SPARE_FAILED) onFailure()
    })
    child.unref()
  } finally {
    channel.closeTheirs()
    closeSync(logFd)
  }
  channel.ours.on('error', () => {})
  channel.ours.end(jsonLine(job))
  channel.ours.unref()
}
