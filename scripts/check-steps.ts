import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'

const top = dirname(import.meta.dirname)
const bin = join(top, 'node_modules/.bin')

const STEPS: readonly (readonly [string, readonly string[]])[] = [
  ['biome', [join(bin, 'biome'), 'ci', '--error-on-warnings', '.']],
  ['tsc', [join(bin, 'tsc')]],
  ['boundaries', [process.execPath, 'scripts/boundaries.ts']],
  ['generated pages', [process.execPath, 'scripts/generate.ts', '--check']],
]

/** Runs every static check and returns how many failed. */
export function checkSteps(): number {
  let failed = 0
  for (const [name, [command, ...args]] of STEPS) {
    const run = spawnSync(command as string, args, {
      cwd: top,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    if (run.status !== 0) {
      console.error(`check: ${name} failed`)
      failed++
    }
  }
  return failed
}
