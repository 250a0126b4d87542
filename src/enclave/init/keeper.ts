import { spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { killChildren } from '#platform/process'

/** A process that outlives init by a moment. */
export interface Keeper {
  /** Ends it and waits. May be called again. */
  end(): Promise<void>
}

/** Pids that nobody but `end` may end while init lives. */
const keepers = new Set<number>()

/**
 * Starts the process that holds this mount namespace and the descriptor `fd`, which belongs to it from now
 * on, until init has ended: `program` copies its empty standard input to its end.
 *
 * Attack, or a mere kill -9: a process that ends as the last of its namespace takes down the mounts *before*
 * its descriptors are closed (do_exit of Linux). Taking down ext4 writes to the loop device, which
 * asks the FUSE descriptors of the very process that cannot answer any more: it would wait for itself for
 * ever, and every sync(2) of the machine with it. With the keeper the descriptors of init close first, so
 * that the connection ends; then the keeper's input ends, and it takes the mounts down, with errors at once.
 * One that is killed is replaced at once; without the descriptor, which is needed until something is mounted
 * from the device and not later. Throws Error if it cannot be started.
 */
export function startKeeper(program: string, fd: number): Keeper {
  const ended = Promise.withResolvers<void>()
  let ending = false
  const start = (...held: readonly number[]): ReturnType<typeof spawn> => {
    const child = spawn(program, {
      stdio: ['pipe', 'ignore', 'ignore', ...held],
      env: {},
      cwd: '/',
    })
    const { pid, stdin } = child
    if (pid !== undefined) keepers.add(pid)
    stdin?.on('error', () => {})
    child.once('error', () => ended.resolve())
    child.once('exit', (_code, signal) => {
      if (pid !== undefined) keepers.delete(pid)
      if (ending || signal === null) ended.resolve()
      else current = start()
    })
    return child
  }
  let current: ReturnType<typeof spawn>
  try {
    current = start(fd)
  } finally {
    closeSync(fd)
  }
  if (current.pid === undefined) throw new Error(`${program} cannot be started`)
  return {
    async end() {
      ending = true
      current.stdin?.end()
      await ended.promise
    },
  }
}

/** Kills what init started or adopted, but for keepers: those go when init has gone. */
export function killAllButKeepers(): void {
  killChildren(keepers)
}
