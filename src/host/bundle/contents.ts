import { createHash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { utf8 } from '#lib/bytes'
import { BundleError } from './bundle-error.ts'
import { librariesOf } from './libraries.ts'
import { NODE_SHA256 } from './release.ts'

/** One entry of a bundle image. Files come from a path of this machine or from bytes. */
export type ContentEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly mode: number
      readonly source: string | Uint8Array
    }

/** Where the parts of a bundle lie on this machine. */
export interface ContentSources {
  /** Folder of the enclaves' programs, `PROGRAM_FILES`. */
  readonly dist: string
  /** The pinned node binary. */
  readonly node: string
  readonly arch: string
}

const RUNC = '/usr/sbin/runc'
const MKE2FS = '/usr/sbin/mke2fs'
const CAT = '/usr/bin/cat'
const CA_LIST = '/etc/ssl/certs/ca-certificates.crt'
const PROGRAM_FILES = [
  'agent.cjs',
  'init.cjs',
  'init-serve.cjs',
  'handover-quote.cjs',
  'cedar_wasm_bg.wasm',
]
const MERGED = ['bin', 'sbin', 'lib', 'lib64']
const MOUNT_POINTS = ['proc', 'sys', 'dev', 'run', 'tmp', 'spool', 'layers']

/**
 * Everything the enclaves execute or load, parents before children, in a fixed order: the same
 * inputs give the same image. Throws BundleError BUNDLE_INPUT_MISSING.
 */
export function bundleContents(sources: ContentSources): readonly ContentEntry[] {
  const node = realpathSync(sources.node)
  checkNode(node, sources.arch)
  const files = new Map<string, Extract<ContentEntry, { kind: 'file' }>>()
  const add = (path: string, mode: number, source: string | Uint8Array): void => {
    if (typeof source === 'string' && !existsSync(source)) {
      throw new BundleError('BUNDLE_INPUT_MISSING', `${source} is missing`, {
        next: NEXT[path] ?? 'npm run build',
      })
    }
    files.set(path, { kind: 'file', path, mode, source })
  }
  add('/usr/bin/node', 0o555, node)
  add('/usr/sbin/runc', 0o555, RUNC)
  add('/usr/sbin/mke2fs', 0o555, MKE2FS)
  add('/usr/bin/cat', 0o555, CAT)
  for (const program of [node, RUNC, MKE2FS, CAT]) {
    for (const library of librariesOf(program, sources.arch)) {
      add(`/usr${library.replace(/^\/usr\//, '/')}`, 0o555, library)
    }
  }
  for (const name of PROGRAM_FILES) {
    add(`/usr/lib/enclave-cc/${name}`, 0o444, join(sources.dist, name))
  }
  add(CA_LIST, 0o444, CA_LIST)
  add('/etc/passwd', 0o444, utf8('root:x:0:0:root:/:/sbin/nologin\n'))
  add('/etc/group', 0o444, utf8('root:x:0:\n'))
  // Mounted over by the launcher: name resolution is the host's, and treated as hostile.
  for (const name of ['hosts', 'resolv.conf']) add(`/etc/${name}`, 0o444, new Uint8Array(0))

  const folders = new Set(MOUNT_POINTS.map((name) => `/${name}`))
  for (const path of files.keys()) {
    const words = path.split('/').slice(1, -1)
    for (let i = 1; i <= words.length; i++) folders.add(`/${words.slice(0, i).join('/')}`)
  }
  return [
    { kind: 'directory', path: '/', mode: 0o555 },
    ...[...folders].sort().map((path) => ({ kind: 'directory', path, mode: 0o555 }) as const),
    ...MERGED.map((n) => ({ kind: 'symlink', path: `/${n}`, target: `usr/${n}` }) as const),
    ...[...files.keys()].sort().map((path) => files.get(path) as ContentEntry),
  ]
}

const NEXT: Readonly<Record<string, string>> = {
  '/usr/sbin/runc': 'apt-get install -y runc',
  '/usr/sbin/mke2fs': 'apt-get install -y e2fsprogs',
  [CA_LIST]: 'apt-get install -y ca-certificates',
}

function checkNode(node: string, arch: string): void {
  const expected = NODE_SHA256[arch]
  if (expected === undefined) {
    throw new BundleError('BUNDLE_INPUT_MISSING', `no pinned Node binary is known for ${arch}`)
  }
  const actual = createHash('sha256').update(readFileSync(node)).digest('hex')
  if (actual !== expected) {
    throw new BundleError('BUNDLE_INPUT_MISSING', 'the node binary is not the pinned one', {
      next: 'npm ci --ignore-scripts',
      details: { expected, actual },
    })
  }
}
