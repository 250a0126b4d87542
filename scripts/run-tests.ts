import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Counts } from './count-reporter.ts'

const top = dirname(import.meta.dirname)

/** The parts of the test suite, in the order they run. */
export const PARTS = {
  unit: { files: ['src/**/*.test.ts', 'scripts/**/*.test.ts'], concurrency: 2, timeout: 120_000 },
  conformance: { files: ['test/conformance/**/*.test.ts'], concurrency: 1, timeout: 300_000 },
  e2e: { files: ['test/e2e/**/*.test.ts'], concurrency: 1, timeout: 600_000 },
} as const

/** Name of a part. */
export type Part = keyof typeof PARTS

/**
 * Runs one part and returns what it came to. With a pattern: the files whose path contains it, or, where
 * there is none, the tests whose names match it.
 */
export function runPart(part: Part, pattern?: string): Counts {
  const { files, concurrency, timeout } = PARTS[part]
  const all = files.flatMap((glob) => globSync(glob, { cwd: top })).sort()
  const named = all.filter((file) => pattern !== undefined && file.includes(pattern))
  const found = named.length > 0 ? named : all
  if (found.length === 0) return { passed: 0, failed: 0, skipped: [], empty: [] }
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-counts-'))
  const out = join(folder, 'counts.json')
  try {
    const args = [
      '--disable-warning=ExperimentalWarning',
      '--test',
      `--test-concurrency=${concurrency}`,
      `--test-timeout=${timeout}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${join(top, 'scripts/count-reporter.ts')}`,
      `--test-reporter-destination=${out}`,
      ...(pattern === undefined || named.length > 0 ? [] : [`--test-name-pattern=${pattern}`]),
      ...found,
    ]
    const run = spawnSync(process.execPath, args, {
      cwd: top,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const counts = JSON.parse(readFileSync(out, 'utf8')) as Counts
    // with a pattern for names most files have none to run
    if (pattern === undefined || named.length > 0) {
      for (const file of counts.empty) console.error(`${file}: no test of it ran to its end`)
      counts.failed += counts.empty.length
    }
    // a crash of the runner itself must not read as a pass
    if (run.status !== 0 && counts.failed === 0) counts.failed = 1
    return counts
  } catch (error) {
    console.error(`${part}: the test runner left no counts: ${String(error)}`)
    return { passed: 0, failed: 1, skipped: [], empty: [] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
