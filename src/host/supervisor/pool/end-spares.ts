import { setTimeout as delay } from 'node:timers/promises'
import { processStart } from '../process-start.ts'
import type { PoolFolder } from './pool-folder.ts'

/** Ends a spare that is not claimed; one that is takes no notice, whichever comes first. */
export const END_SPARE = 'SIGUSR2'

const PAUSE_MS = 10
const PATIENCE_MS = 3000

/**
 * Ends the spares of a pool and waits until they are gone, or claimed. One that does not end is killed:
 * its enclaves end by themselves then. Gives their ids.
 */
export async function endSpares(folder: PoolFolder): Promise<readonly string[]> {
  if (!folder.usable) return []
  const ids = folder.spares()
  await Promise.all(ids.map((id) => endSpare(folder, id)))
  folder.tidy()
  return ids
}

async function endSpare(folder: PoolFolder, id: string): Promise<void> {
  const begin = performance.now()
  let told = false
  while (folder.has(id)) {
    const patient = performance.now() - begin < PATIENCE_MS
    // one that was started just now has not said yet who it is
    const entry = told && patient ? undefined : folder.read(id)
    if (entry !== undefined && processStart(entry.supervisorPid) === entry.supervisorStart) {
      if (folder.has(id)) signal(entry.supervisorPid, patient ? END_SPARE : 'SIGKILL')
      told = true
    } else if (!patient && entry === undefined) return
    await delay(PAUSE_MS)
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // ended by itself
  }
}
