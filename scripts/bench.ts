// npm run bench -- NAME|all [--runs 5] [--out FILE] [--enforce]: a table on stderr, and one document
// (docs/testing.md) on stdout or in FILE; with `all`, one a line. Figures of docs/performance.md are made
// with --out docs/performance/NAME.json and then `node scripts/generate.ts`.
import { globSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Bench } from './bench/bench.ts'
import type { BenchDocument } from './bench/document.ts'
import { commit, machine, packageVersion } from './bench/machine.ts'
import { table } from './bench/table.ts'
import { interrupted } from './interrupted.ts'

const top = dirname(import.meta.dirname)
const ALL = ['pull', 'rootfs', 'start', 'verify', 'kbs', 'memory'].filter(
  (name) => globSync(`scripts/bench/${name}.ts`, { cwd: top }).length > 0,
)

const { values, positionals } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== '--'),
  allowPositionals: true,
  options: {
    runs: { type: 'string' },
    out: { type: 'string' },
    enforce: { type: 'boolean' },
  },
})
const [wanted = 'all'] = positionals
const runs = Number(values.runs ?? 5)
if ((wanted !== 'all' && !ALL.includes(wanted)) || !Number.isInteger(runs) || runs < 1) {
  console.error('error: usage: bench NAME|all [--runs N] [--out FILE] [--enforce] [USAGE]')
  console.error(`next: choose one of: ${ALL.join(' ')}`)
  process.exit(2)
}

const signal = interrupted()
const documents: BenchDocument[] = []
for (const name of wanted === 'all' ? ALL : [wanted]) {
  if (signal.aborted) break
  const { bench } = (await import(join(top, 'scripts/bench', `${name}.ts`))) as { bench: Bench }
  const note = (text: string): void => console.error(`bench ${name}: ${text}`)
  const rows = await bench.run({ runs, note, signal })
  const versions = bench.peers.map((peer) => [peer, packageVersion(peer) ?? ''] as const)
  const document: BenchDocument = {
    schema: 'enclave-cc.bench/1',
    bench: name,
    commit: commit(top),
    date: `${new Date().toISOString().slice(0, 19)}Z`,
    machine: machine(),
    peers: Object.fromEntries(versions.filter(([, version]) => version !== '')),
    rows,
  }
  console.error(table(document))
  documents.push(document)
}
const text = `${documents.map((document) => JSON.stringify(document)).join('\n')}\n`
if (values.out === undefined) process.stdout.write(text)
else writeFileSync(values.out, text)
const missed = documents.flatMap(({ rows }) => rows.filter((row) => row.met === false))
process.exitCode = values.enforce === true && missed.length > 0 ? 1 : 0
