import { FormatError } from '#lib/bytes'
import { array, integer, object, optional, string, strings } from '#lib/json'

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const MAX_LEVELS = 256

/** What a TCB level of either document says, beside what it is matched with. */
export interface LevelFacts {
  readonly tcbStatus: string
  /** Milliseconds since 1970. */
  readonly tcbDate: number
  readonly advisoryIds: readonly string[]
}

/** Reads `YYYY-MM-DDThh:mm:ssZ`, in milliseconds since 1970; always UTC, never another form. */
export function readTime(value: unknown, name: string): number {
  const text = string(value, name, { pattern: TIME })
  const time = Date.parse(text)
  // Date.parse carries February 30th over; what it means is then another text.
  if (Number.isNaN(time) || new Date(time).toISOString() !== text.replace('Z', '.000Z')) {
    throw new FormatError('FORMAT_INVALID', name, 0, 'is not a date of the calendar')
  }
  return time
}

/** Reads a document's own validity and evaluation number. */
export function readIssue(document: Readonly<Record<string, unknown>>): {
  readonly issueDate: number
  readonly nextUpdate: number
  readonly tcbEvaluationDataNumber: number
} {
  return {
    issueDate: readTime(document.issueDate, 'issueDate'),
    nextUpdate: readTime(document.nextUpdate, 'nextUpdate'),
    tcbEvaluationDataNumber: integer(document.tcbEvaluationDataNumber, 'tcbEvaluationDataNumber'),
  }
}

/** Reads `tcbLevels`: not empty, none twice. `readTcb` gives the part that is matched. */
export function readLevels<T>(
  value: unknown,
  readTcb: (tcb: Readonly<Record<string, unknown>>, name: string) => T,
): (T & LevelFacts)[] {
  const levels = array(value, 'tcbLevels', MAX_LEVELS).map((item, i) => {
    const name = `tcbLevels[${i}]`
    const level = object(item, name)
    return {
      ...readTcb(object(level.tcb, `${name}.tcb`), `${name}.tcb`),
      tcbStatus: string(level.tcbStatus, `${name}.tcbStatus`, { max: 64 }),
      tcbDate: readTime(level.tcbDate, `${name}.tcbDate`),
      advisoryIds:
        optional(level.advisoryIDs, (ids) =>
          strings(ids, `${name}.advisoryIDs`, { max: 64, maxItems: 256 }),
        ) ?? [],
    }
  })
  if (levels.length === 0) throw new FormatError('FORMAT_INVALID', 'tcbLevels', 0, 'is empty')
  return levels
}

/** Refuses two levels that match the same: which status counts is unclear. */
export function refuseDuplicates(keys: readonly string[]): void {
  if (new Set(keys).size !== keys.length) {
    throw new FormatError('FORMAT_INVALID', 'tcbLevels', 0, 'has a level twice')
  }
}
