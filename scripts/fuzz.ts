// npm run fuzz -- TARGET|all [--seconds N] [--seed S]: mutates the vectors of each format and feeds
// them to its target (test/fuzz/TARGET.ts). A target throws only typed errors; anything else is a
// find: it is written to test/vectors/FORMAT/found-*, and the run fails.
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { isCoded } from '../src/lib/errors/index.ts'
import { mutations } from './fuzz-mutations.ts'

const top = dirname(import.meta.dirname)
const args = process.argv.slice(2).filter((word) => word !== '--')
const option = (name: string): string | undefined => {
  const at = args.indexOf(`--${name}`)
  return at === -1 ? undefined : args[at + 1]
}
const all = globSync('test/fuzz/*.ts', { cwd: top })
  .map((file) => basename(file, '.ts'))
  .sort()
const wanted = args[0] === undefined || args[0] === 'all' ? all : [args[0]]
const seconds = Number(option('seconds') ?? 60)
const seed = Number(option('seed') ?? Date.now() % 1_000_000_000)

/** A target: one format, where its seeds lie, and the function that must hold. */
export interface FuzzTarget {
  /** Folder below test/vectors. */
  readonly format: string
  /** Seeds beside the vector files, where the format needs some of its own. */
  readonly seeds?: () => Iterable<Uint8Array>
  /** Parses; checks what was parsed; throws a coded error for anything that is not the format. */
  readonly run: (data: Uint8Array) => void | Promise<void>
}

console.error(`fuzz: seed ${seed}, ${seconds} s a target`)
let finds = 0
for (const name of wanted) {
  if (!all.includes(name)) {
    console.error(`error: no fuzz target ${name}; there are: ${all.join(' ')} [USAGE]`)
    process.exit(2)
  }
  const { target } = (await import(join(top, 'test/fuzz', `${name}.ts`))) as { target: FuzzTarget }
  const folder = join(top, 'test/vectors', target.format)
  const files = existsSync(folder) ? globSync('**/*', { cwd: folder, withFileTypes: true }) : []
  const seeds = [
    ...(target.seeds?.() ?? []),
    ...files
      .filter((entry) => entry.isFile() && !/\.(md|json)$/.test(entry.name))
      .map((entry) => new Uint8Array(readFileSync(join(entry.parentPath, entry.name))))
      .filter((bytes) => bytes.length <= 256 * 1024),
  ]
  if (seeds.length === 0) seeds.push(new Uint8Array(0))
  let runs = 0
  let accepted = 0
  const end = Date.now() + seconds * 1000
  for (const data of mutations(seeds, seed)) {
    if (Date.now() >= end) break
    runs++
    try {
      await target.run(data)
      accepted++
    } catch (error) {
      if (isCoded(error)) continue
      finds++
      const hash = createHash('sha256').update(data).digest('hex').slice(0, 16)
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `found-${hash}.bin`), data)
      console.error(`fuzz: ${name}: found-${hash}: ${String((error as Error).stack ?? error)}`)
      break
    }
  }
  console.error(`fuzz: ${name}: ${runs} inputs, ${accepted} accepted, seeds ${seeds.length}`)
  if (accepted === 0) {
    console.error(`fuzz: ${name}: nothing was accepted: its seeds are wrong`)
    finds++
  }
}
process.exitCode = finds === 0 ? 0 : 1
