import { jsonLine } from '#lib/json-lines'
import type { Job, JobEvent, JobOrder } from '../job.ts'
import { jobEvents } from '../job-events.ts'
import { nodeLog } from '../node-log.ts'
import type { StartedJob } from '../start-job.ts'
import type { Claimable } from './claim.ts'
import { ANSWER_MS } from './claim-limits.ts'

/**
 * Hands a job to a spare. One that answers is told to go, and is the job's supervisor from then on. One that does
 * not, for whatever reason, never was: nothing of the job is touched without that word, and a supervisor is
 * started as for any other job. Interrupted before, the job has ended at once.
 */
export function claimJob(spare: Claimable, job: Job, startCold: () => StartedJob): StartedJob {
  const { socket, lines } = spare
  let state: 'asked' | 'cancelled' | 'detached' | StartedJob = 'asked'
  socket.write(jsonLine(job))
  async function* events(): AsyncGenerator<JobEvent> {
    const answered = await isAnswered(spare)
    if (state === 'detached') return
    if (state === 'cancelled') {
      yield { event: 'failed', code: 'INTERRUPTED', message: 'interrupted before it was started' }
      return
    }
    if (answered) state = started()
    else {
      // it hears of that whenever it wakes up
      socket.destroy()
      state = startCold()
    }
    yield* state.events
  }
  function started(): StartedJob {
    const order = (order: JobOrder): void => {
      if (socket.writable) socket.write(jsonLine(order))
    }
    order({ op: 'go' })
    return {
      events: jobEvents(lines, nodeLog(job.root)),
      order,
      detach: () => void socket.destroy(),
    }
  }
  return {
    events: events(),
    order(order) {
      if (typeof state === 'object') state.order(order)
      // there is no program yet that could get a signal
      else if (order.op === 'cancel') {
        state = 'cancelled'
        socket.destroy()
      }
    },
    detach() {
      if (typeof state === 'object') state.detach()
      else {
        state = 'detached'
        socket.destroy()
      }
    },
  }
}

async function isAnswered({ socket, lines }: Claimable): Promise<boolean> {
  const begin = performance.now()
  const patience = setTimeout(() => socket.destroy(), ANSWER_MS)
  try {
    const { value } = await lines.next()
    // Where it was this process that was stopped, the answer may be read before that timer is looked at: but
    // the spare has not waited.
    const late = performance.now() - begin >= ANSWER_MS
    return !late && (value as { event?: unknown } | undefined)?.event === 'claimed'
  } catch {
    return false
  } finally {
    clearTimeout(patience)
  }
}
