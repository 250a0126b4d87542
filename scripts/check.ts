// npm run check: format, lint, types, unit tests, boundaries, generated pages. No root, no network.
import { checkSteps } from './check-steps.ts'
import { runPart } from './run-tests.ts'

const failed = checkSteps()
const counts = runPart('unit')
console.log(
  `${counts.passed} passed, ${counts.failed + failed} failed, ${counts.skipped.length} skipped`,
)
process.exitCode = counts.failed + failed > 0 || counts.passed === 0 ? 1 : 0
