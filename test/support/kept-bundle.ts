import { createHash } from 'node:crypto'
import {
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

const KEPT = join(dirname(dirname(import.meta.dirname)), '.bootstrap/bundles')
const FILES = ['bundle.erofs', 'agent.json', 'init.json']
const PROGRAMS = [
  'agent.cjs',
  'init.cjs',
  'init-serve.cjs',
  'handover-quote.cjs',
  'cli.cjs',
  'cedar_wasm_bg.wasm',
]
const HOUR_MS = 3_600_000

/**
 * Puts a bundle of these programs into a folder, built at most once: the same inputs give the same
 * bytes, so a kept one is as good as a new one. `build` makes one in the folder that it is given.
 */
export async function copyKeptBundle(
  dist: string,
  into: string,
  build: (folder: string) => Promise<unknown>,
): Promise<void> {
  const kept = join(KEPT, keyOf(dist))
  if (!existsSync(kept)) {
    forgetOld()
    const fresh = `${kept}.${process.pid}`
    mkdirSync(fresh, { recursive: true })
    await build(fresh)
    try {
      renameSync(fresh, kept)
    } catch {
      // another run was faster
      rmSync(fresh, { recursive: true })
    }
  }
  mkdirSync(into, { recursive: true })
  for (const name of FILES) {
    copyFileSync(join(kept, name), join(into, name), constants.COPYFILE_FICLONE)
  }
}

/** What a bundle depends on: our programs, this node, and the distribution's packages. */
function keyOf(dist: string): string {
  const hash = createHash('sha256')
  for (const name of PROGRAMS) hash.update(readFileSync(join(dist, name)))
  hash.update(process.version)
  for (const file of ['/var/lib/dpkg/status', '/etc/ssl/certs/ca-certificates.crt']) {
    hash.update(existsSync(file) ? readFileSync(file) : '')
  }
  return hash.digest('hex').slice(0, 32)
}

function forgetOld(): void {
  mkdirSync(KEPT, { recursive: true })
  for (const name of readdirSync(KEPT)) {
    const folder = join(KEPT, name)
    if (Date.now() - statSync(folder).mtimeMs > HOUR_MS) rmSync(folder, { recursive: true })
  }
}
