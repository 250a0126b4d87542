// Bundles each program into dist/NAME.cjs, twice, and refuses if the bytes differ: what is measured
// must be reproducible. Also writes the metafiles that the boundaries test reads.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build, transform } from 'esbuild'
import { PROGRAMS, type Program } from './programs.ts'

const top = dirname(import.meta.dirname)
const dist = join(top, 'dist')
const wasm = 'node_modules/@cedar-policy/cedar-wasm/nodejs/cedar_wasm_bg.wasm'

async function bundle(program: Program): Promise<{ code: Uint8Array; metafile: string }> {
  const result = await build({
    absWorkingDir: top,
    entryPoints: [program.entry],
    outfile: join(dist, `${program.name}.cjs`),
    bundle: true,
    external: program.loads === undefined ? [] : [program.loads],
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    charset: 'ascii',
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'error',
    logOverride: { 'empty-import-meta': 'silent' },
  })
  const text = result.outputFiles[0]?.text
  if (text === undefined) throw new Error(`${program.name}: no output`)
  return { code: Buffer.from(await oneByte(text)), metafile: JSON.stringify(result.metafile) }
}

// One character beyond Latin-1 makes V8 keep the whole text of a program in two bytes a character, for as
// long as it runs. Code has none (`charset`), comments do.
async function oneByte(text: string): Promise<string> {
  const plain = text.replace(/[\u0100-\u{10ffff}]/gu, '?')
  const bare = async (code: string): Promise<string> =>
    (await transform(code, { minifyWhitespace: true, charset: 'ascii' })).code
  if ((await bare(plain)) !== (await bare(text))) throw new Error('more than comments would change')
  return plain
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: top,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .toString()
      .trim()
  } catch {
    return 'unknown'
  }
}

// a program that runs while it is built again must find one build or the other
function put(name: string, content: string | Uint8Array): void {
  const file = join(dist, name)
  writeFileSync(`${file}.new`, content)
  renameSync(`${file}.new`, file)
}

mkdirSync(join(dist, 'meta'), { recursive: true })
for (const program of PROGRAMS.filter((p) => existsSync(join(top, p.entry)))) {
  const [first, second] = [await bundle(program), await bundle(program)]
  const digest = createHash('sha256').update(first.code).digest('hex')
  if (createHash('sha256').update(second.code).digest('hex') !== digest) {
    throw new Error(`${program.name}: two builds differ`)
  }
  put(`${program.name}.cjs`, first.code)
  put(`meta/${program.name}.json`, first.metafile)
}
put('cedar_wasm_bg.wasm', readFileSync(join(top, wasm)))
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as {
  version: string
}
// last, and by rename: its date says that everything before is whole
put('build.json', `${JSON.stringify({ version, commit: commit() })}\n`)
