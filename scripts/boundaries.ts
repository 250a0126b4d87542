// Which way imports point. Reads every program's metafile (what is really inside) and every source
// file's imports; fails on an arrow that points up or sideways; writes docs/tcb.md.
// Usage: boundaries.ts [--write]
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { PROGRAMS } from './programs.ts'

const top = dirname(import.meta.dirname)
const write = process.argv.includes('--write')
const problems: string[] = []

/** Packages that may be inside the programs that run in the enclave; see docs/dependencies.md. */
const ENCLAVE_PACKAGES = new Set(
  readFileSync(join(top, 'scripts/enclave-packages.txt'), 'utf8')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== ''),
)

type Layer = 'lib' | 'protocol' | 'platform' | 'enclave' | 'owner' | 'host' | 'cli'
const MAY_IMPORT: Readonly<Record<Layer, readonly Layer[]>> = {
  lib: ['lib'],
  protocol: ['lib', 'protocol'],
  platform: ['lib', 'protocol', 'platform'],
  enclave: ['lib', 'protocol', 'platform', 'enclave'],
  owner: ['lib', 'protocol', 'platform', 'owner'],
  host: ['lib', 'protocol', 'platform', 'host'],
  cli: ['lib', 'owner', 'host', 'cli'],
}
/** A whole import or export statement, or a dynamic import, and what it names. */
const IMPORTS = /^(?:import|export)\b[^;'()]*?from '([^']+)'|\bimport\s*\(?\s*'([^']+)'/gm
const LIB_BUILTINS = new Set(['node:crypto', 'node:zlib'])

function layerOf(path: string): Layer | undefined {
  return /^src\/([a-z]+)\//.exec(path)?.[1] as Layer | undefined
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith('.ts') && statSync(name).isFile())
    .map((name) => relative(top, name))
    .sort()
}

function checkArrow(from: string, to: string): void {
  const [a, b] = [layerOf(from), layerOf(to)]
  if (a === undefined || b === undefined) return
  if (!MAY_IMPORT[a].includes(b)) problems.push(`${from} imports ${to}: ${a} must not know ${b}`)
  if (a === 'cli' && (b === 'owner' || b === 'host') && !to.endsWith('/commands.ts')) {
    problems.push(`${from} imports ${to}: the door may open only commands.ts`)
  }
  const [x, y] = [component(from), component(to)]
  if (
    a === b &&
    x !== y &&
    ['lib', 'protocol', 'platform'].includes(a) &&
    !to.endsWith('/index.ts')
  ) {
    problems.push(`${from} imports ${to}: use the front door #${b}/${y}`)
  }
}

function component(path: string): string {
  return path.split('/')[2] ?? ''
}

for (const file of sources(join(top, 'src'))) {
  const test = file.endsWith('.test.ts')
  const text = readFileSync(join(top, file), 'utf8')
  if (!test && text.includes('.slice()') && file !== 'src/lib/bytes/compare.ts') {
    problems.push(
      `${file} copies with slice(), which is a view of a Buffer: use copyOf of #lib/bytes`,
    )
  }
  for (const [whole, named, loaded] of text.matchAll(IMPORTS)) {
    const target = named ?? loaded
    if (target === undefined) continue
    if (target.startsWith('.')) {
      const to = relative(top, join(top, dirname(file), target))
      if (!test || layerOf(to) === layerOf(file)) checkArrow(file, to)
    } else if (target.startsWith('#')) {
      const to = `src/${target.slice(1)}/index.ts`
      checkArrow(file, to)
    } else if (target.startsWith('node:')) {
      const typeOnly = whole.startsWith('import type')
      if (layerOf(file) === 'lib' && !test && !typeOnly && !LIB_BUILTINS.has(target)) {
        problems.push(`${file} imports ${target}: lib is pure`)
      }
      if (target === 'node:ffi' && layerOf(file) !== 'platform') {
        problems.push(`${file} imports node:ffi: only platform may`)
      }
    }
  }
}

interface Metafile {
  readonly inputs: Readonly<Record<string, { readonly bytes: number }>>
  readonly outputs: Readonly<
    Record<
      string,
      { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }
    >
  >
}

const pages: string[] = []
for (const program of PROGRAMS.filter((p) => p.trusted)) {
  const meta = JSON.parse(
    readFileSync(join(top, `dist/meta/${program.name}.json`), 'utf8'),
  ) as Metafile
  // what the bundler looked at and left out is not inside
  const inside = Object.entries(Object.values(meta.outputs)[0]?.inputs ?? {})
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path)
    .sort()
  const packages = new Map<string, number>()
  const files: [string, number][] = []
  for (const path of inside) {
    const bytes = meta.inputs[path]?.bytes ?? 0
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]
    if (name === undefined) {
      files.push([path, lines(path)])
      const layer = layerOf(path)
      if (layer === 'owner' || layer === 'host' || layer === 'cli') {
        problems.push(`${program.name} contains ${path}: an enclave holds no ${layer} code`)
      }
    } else {
      packages.set(name, (packages.get(name) ?? 0) + bytes)
      if (!ENCLAVE_PACKAGES.has(name)) {
        problems.push(
          `${program.name} contains package ${name}: not in scripts/enclave-packages.txt`,
        )
      }
    }
  }
  const total = files.reduce((sum, [, n]) => sum + n, 0)
  pages.push(
    `## ${program.name}\n\n${files.length} files of ours, ${total} lines.\n`,
    ...(packages.size === 0 ? [] : [`Packages: ${[...packages.keys()].sort().join(', ')}.\n`]),
    ...byFolder(files),
  )
}

function byFolder(files: readonly [string, number][]): string[] {
  const folders = new Map<string, string[]>()
  for (const [path, n] of files) {
    const folder = dirname(path)
    folders.set(folder, [...(folders.get(folder) ?? []), `${path.slice(folder.length + 1)} (${n})`])
  }
  return [...folders].map(([folder, names]) => `- \`${folder}/\`: ${names.join(', ')}`).concat('')
}

function lines(path: string): number {
  return readFileSync(join(top, path), 'utf8').split('\n').length - 1
}

const page = [
  '# What runs inside the enclave\n',
  'Generated by `node scripts/boundaries.ts --write` from what the bundler really put into each',
  'program; the numbers are lines. Outside our code the trusted base holds the pinned Node binary, its',
  'libraries, `runc`, and the packages named below.\n',
  ...pages,
].join('\n')
const target = join(top, 'docs/tcb.md')
if (write) writeFileSync(target, page)
else if (readFileSync(target, 'utf8') !== page)
  problems.push('docs/tcb.md is stale: npm run build && node scripts/boundaries.ts --write')

for (const problem of [...new Set(problems)]) console.error(`boundaries: ${problem}`)
process.exitCode = problems.length === 0 ? 0 : 1
