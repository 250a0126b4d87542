import { CodedError, isCoded } from '#lib/errors'
import type { JsonValue } from '#lib/json'
import type { JobEvent } from './job.ts'

const LAST: readonly string[] = ['failed', 'exit', 'attested']

/**
 * The supervisor's events from the lines of its channel, up to the last one. Throws CodedError SUPERVISOR_LOST if the
 * channel ends before; its next step names the log.
 */
export async function* jobEvents(
  lines: AsyncIterable<JsonValue>,
  log: string,
): AsyncGenerator<JobEvent> {
  let cause: unknown
  try {
    for await (const line of lines) {
      const event = line as unknown as JobEvent
      yield event
      if (LAST.includes(event.event)) return
    }
  } catch (error) {
    if (isCoded(error)) throw error
    cause = error
  }
  throw new CodedError('SUPERVISOR_LOST', 'the supervisor ended without a word', {
    cause,
    next: `see ${log}, and run it again`,
  })
}
