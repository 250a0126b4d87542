// Pages that are made from the code: docs/errors.md, docs/cli-reference.md. With --check they must
// equal what is committed; without, they are written. docs/tcb.md is made by boundaries.ts. So are
// docs/performance.md and its plots, from the measured documents beside them.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CODES } from '../src/lib/errors/index.ts'
import { performancePages } from './bench/page.ts'

const top = dirname(import.meta.dirname)
const check = process.argv.includes('--check')

function errorsPage(): string {
  const rows = Object.entries(CODES)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([code, { meaning, next, retryable }]) =>
        `| \`${code}\` | ${cell(meaning)} | ${cell(next)} | ${retryable === true ? 'yes' : ''} |`,
    )
  return [
    '# Error codes\n',
    'Generated from `src/lib/errors/codes/`. Every failure prints `error: SENTENCE [CODE]` and',
    '`next: STEP`; with `--json` both are in one object on the last line of stderr. Codes are stable.\n',
    '| code | meaning | next step | may succeed later |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

// the built program prints its own help: what a user sees is what is documented
function cliPage(): string {
  const node = join(top, 'node_modules/.bin/node')
  const pages = JSON.parse(
    execFileSync(
      node,
      ['--disable-warning=ExperimentalWarning', join(top, 'dist/enclave-cc.cjs')],
      {
        env: { ENCLAVE_CC_HELP_PAGES: '1' },
        encoding: 'utf8',
      },
    ),
  ) as [string, string][]
  return [
    '# CLI reference\n',
    'Generated from the help of each command. Rules, places, environment and JSON: [cli.md](cli.md).\n',
    ...pages.map(([name, text]) => `## ${name}\n\n\`\`\`\n${text.trimEnd()}\n\`\`\`\n`),
  ].join('\n')
}

for (const [name, text] of [
  ['docs/errors.md', errorsPage()],
  ['docs/cli-reference.md', cliPage()],
  ...performancePages(top),
] as const) {
  const file = join(top, name)
  if (!check) writeFileSync(file, text)
  else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
    console.error(`generate: ${name} is stale: npm run build && node scripts/generate.ts`)
    process.exitCode = 1
  }
}
