// A node:test reporter that writes one JSON line: how many passed, failed and were skipped, and why.
import type { TestEvent } from 'node:test/reporters'

/** What one run of the test runner came to. */
export interface Counts {
  passed: number
  failed: number
  skipped: { readonly name: string; readonly reason: string }[]
  /** Files of which no test ran to its end, though they did not fail. */
  empty: string[]
}

type Source = AsyncIterable<TestEvent>

/**
 * Counts tests. A suite that holds tests is none, unless it fails: its hooks may have, without any of them.
 * A file without a test, or one that left before its tests did, is reported under its path.
 */
// biome-ignore lint/style/noDefaultExport: the test runner loads a reporter by its default export
export default async function* count(source: Source): AsyncGenerator<string> {
  const counts: Counts = { passed: 0, failed: 0, skipped: [], empty: [] }
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, skip, todo, details } = event.data as {
      name: string
      skip?: string | boolean
      todo?: string | boolean
      details?: { type?: string }
    }
    if (skip !== undefined && skip !== false) {
      counts.skipped.push({ name, reason: skip === true ? 'no reason given' : skip })
    } else if (todo !== undefined && todo !== false) {
      counts.skipped.push({ name, reason: 'not written yet' })
    } else if (event.type === 'test:fail') counts.failed++
    else if (name.endsWith('.test.ts')) counts.empty.push(name)
    else if (details?.type !== 'suite') counts.passed++
  }
  yield JSON.stringify(counts)
}
