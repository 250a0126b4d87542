// npm test and its parts. The last line is `N passed, N failed, N skipped`, summed over all runners.
// Usage: test.ts all | unit|conformance|e2e [PATTERN]
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { checkSteps } from './check-steps.ts'
import type { Counts } from './count-reporter.ts'
import { PARTS, type Part, runPart } from './run-tests.ts'

const top = dirname(import.meta.dirname)
const [part = 'all', ...rest] = process.argv.slice(2)
const pattern = rest.filter((word) => word !== '--')[0]
const total: Counts = { passed: 0, failed: 0, skipped: [], empty: [] }

function add(counts: Counts): void {
  total.passed += counts.passed
  total.failed += counts.failed
  total.skipped.push(...counts.skipped)
}

function script(name: string, args: readonly string[]): void {
  const run = spawnSync(process.execPath, [`scripts/${name}.ts`, ...args], {
    cwd: top,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  add({
    passed: run.status === 0 ? 1 : 0,
    failed: run.status === 0 ? 0 : 1,
    skipped: [],
    empty: [],
  })
}

function expectedSkips(): ReadonlySet<string> {
  const file = join(top, 'test/expected-skips.txt')
  if (!existsSync(file)) return new Set()
  return new Set(
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line && !line.startsWith('#')),
  )
}

if (part === 'all') {
  total.failed += checkSteps()
  for (const name of Object.keys(PARTS) as Part[]) add(runPart(name))
  script('fuzz', ['all', '--seconds', '5'])
  script('chaos', ['--rounds', '10'])
} else if (Object.hasOwn(PARTS, part)) {
  add(runPart(part as Part, pattern))
} else {
  console.error(`error: unknown part ${part} [USAGE]`)
  process.exit(2)
}

const expected = expectedSkips()
for (const { name, reason } of total.skipped) {
  console.log(`skip: ${name}: ${reason}`)
  if (!expected.has(name)) total.failed++
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped`)
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
