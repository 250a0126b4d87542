import { setTimeout as delay } from 'node:timers/promises'
import type { RunJob } from '../job.ts'
import { processStart } from '../process-start.ts'
import { ContainerStore } from '../store.ts'

const LOOK_MS = 20
/** Far more than a command takes to start another supervisor, or to end. */
const PATIENCE_MS = 5000

/**
 * For a spare that was handed a job and does not do it. Its command removes the container's record or has
 * another supervisor take it over; if it was killed before, nobody would ever remove it, so this does. A
 * record that is not the command's any more is left alone.
 */
export async function removeOrphan(job: Pick<RunJob, 'root' | 'state' | 'record'>): Promise<void> {
  const store = new ContainerStore(job)
  const { id, supervisorPid, supervisorStart } = job.record
  const end = performance.now() + PATIENCE_MS
  do {
    // In this order: a supervisor that takes over after its command's death gives up by itself.
    const isDead = processStart(supervisorPid) !== supervisorStart
    if (!isTheirs(store, job)) return
    if (isDead) return store.remove(id)
    await delay(LOOK_MS)
  } while (performance.now() < end)
}

function isTheirs(store: ContainerStore, { record }: Pick<RunJob, 'record'>): boolean {
  try {
    const now = store.read(record.id)
    return (
      now.supervisorPid === record.supervisorPid && now.supervisorStart === record.supervisorStart
    )
  } catch {
    return false // removed
  }
}
