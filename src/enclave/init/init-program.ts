import { readFileSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { linuxMounts } from '#platform/mount'
import {
  becomeOwnRoot,
  becomeSubreaper,
  closeInherited,
  enterPrivateMounts,
  forbidDumps,
  keepFromChildren,
  Reaper,
} from '#platform/process'
import { laterAfter } from '../later.ts'
import { openSimTee } from '../tee/index.ts'
import { runInit } from './run-init.ts'
import { ServePool } from './serve-pool.ts'
import { armWatchdog, die } from './watchdog.ts'

const CONTROL = 0
const DEVICE = 3
const THREADS = 2
// Milliseconds from the first step down to SIGKILL; two seconds are far more than it ever took.
const CLOSE_LIMIT = 15_000
/** A container that is started from nothing gets here sooner, if its layers are on the node. */
const IDLE_MS = 1000

function enter(chrooted: boolean): void {
  // First of all, before any thread exists that would stay in the old namespace.
  enterPrivateMounts()
  if (chrooted) becomeOwnRoot('/run')
  forbidDumps()
  // That of whoever started the node's command would close `/`, hosts and volumes to the image's users.
  process.umask(0o022)
  closeInherited(DEVICE)
  keepFromChildren(CONTROL)
  becomeSubreaper()
}

/**
 * If memory is short, killing this process would take the container with it: the kernel is asked to
 * spare it. Returns the score for the container, whose memory it is that grows; it gets no protection.
 */
function spareFromOom(): number {
  const file = '/proc/self/oom_score_adj'
  const before = Number(readFileSync(file, 'utf8'))
  try {
    writeFileSync(file, '-900')
  } catch {
    // Only CAP_SYS_RESOURCE may; without it the kernel's own choice stands.
  }
  // Raising is always allowed, and so is what it was.
  return Math.max(0, before)
}

/** The places that the program works with; fixed values inside a bundle. */
export interface InitProgramOptions {
  /** The program of the serving threads. */
  readonly serveEntry: string
  /** The program for a handover with quotes. */
  readonly quoteProgram: string
  /** Started by chroot into a bundle: what lies above it is left behind for good. */
  readonly chrooted: boolean
  readonly runc: string
  readonly mke2fs: string
  readonly cat: string
  /** Directory of this container's mounts. */
  readonly base: string
  /** Directory of the sealed layers of this pod alone. */
  readonly spool: string
  /** Directory of those that the node keeps for all pods. */
  readonly cache: string
}

/**
 * The init program: descriptor 0 is the supervisor's control socket, 1 and 2 are the container's
 * output, 3 is the TEE device. Call it first of all.
 */
export async function initProgram(options: InitProgramOptions): Promise<void> {
  const { serveEntry, chrooted, ...places } = options
  enter(chrooted)
  const oomScoreAdj = spareFromOom()
  using reaper = new Reaper()
  // Nothing is written to stderr: it is the container's.
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
  const pool = new ServePool(serveEntry, THREADS)
  const control = new Socket({ fd: CONTROL, readable: true, writable: true })
  // The supervisor ends us through the control socket; a signal is the same as its end.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => control.destroy())
  }
  const tee = openSimTee(new Socket({ fd: DEVICE, readable: true, writable: true }))
  await runInit({
    ...places,
    later: laterAfter(IDLE_MS, die),
    control,
    tee,
    pool,
    reaper,
    mounts: linuxMounts,
    oomScoreAdj,
    onClosing: () => armWatchdog(CLOSE_LIMIT),
  })
  process.exit(0)
}
