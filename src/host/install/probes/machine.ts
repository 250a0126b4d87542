import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { type Finding, type Probe, versionAtLeast } from '../probe.ts'

const LIBRARY_PATHS = ['/lib', '/lib64', '/usr/lib', '/usr/lib64', '/usr/local/lib']
const NODE_MAJOR = 26

/** Probes of processor, kernel and the programs that we run on. */
export const MACHINE_PROBES: readonly Probe[] = [
  {
    name: 'root',
    required: true,
    needed: 'uid 0',
    next: 'run as root, for example with sudo: mounts and containers need it',
    look: () => ({ ok: process.getuid?.() === 0, found: `uid ${process.getuid?.()}` }),
  },
  {
    name: 'platform',
    required: true,
    needed: 'linux on x64 or arm64',
    next: 'use a Linux machine with one of these processors',
    look: () => ({
      ok: process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch),
      found: `${process.platform} ${process.arch}`,
    }),
  },
  {
    name: 'kernel',
    required: true,
    // openat2 is of 5.6, LOOP_CONFIGURE of 5.8, EROFS extended inodes are older.
    needed: '5.8',
    next: 'upgrade the kernel; 6.12 or later mounts layers without loop devices',
    look: () => ({ ok: versionAtLeast(release(), '5.8'), found: release() }),
  },
  {
    name: 'node',
    required: true,
    needed: `${NODE_MAJOR}`,
    next: 'run through bin/enclave-cc, which uses the pinned node',
    look: () => ({
      ok: process.versions.node.startsWith(`${NODE_MAJOR}.`),
      found: process.versions.node,
    }),
  },
  {
    name: 'ffi',
    required: true,
    needed: 'node:ffi, with the C library and OpenSSL of the process',
    next: 'use the pinned node, without --no-experimental-ffi',
    look: lookAtFfi,
  },
  {
    name: 'libatomic1',
    required: true,
    needed: 'libatomic.so.1',
    next: 'apt-get install libatomic1',
    look: lookForLibatomic,
  },
  {
    name: 'swap',
    required: false,
    needed: 'off',
    next: 'swapoff -a: pages of enclaves and of the containers could reach the disk in the clear',
    look: lookAtSwap,
  },
  {
    name: 'sgx',
    required: false,
    needed: '/dev/sgx_enclave',
    next: 'nothing to do: containers run on the simulated platform here',
    look: () => {
      const ok = existsSync('/dev/sgx_enclave')
      return { ok, found: ok ? 'present' : 'none: only the simulated platform' }
    },
  },
]

async function lookAtFfi(): Promise<Finding> {
  const { libc } = await import('#platform/ffi')
  const { createOpensslOpener } = await import('#platform/chunk-cipher')
  createOpensslOpener(new Uint8Array(32), new Uint8Array(16)).close()
  return { ok: libc.fcntl(0, 1, 0n) >= -1, found: 'works' }
}

function lookForLibatomic(): Finding {
  const folders = LIBRARY_PATHS.flatMap((path) => [path, ...subfolders(path)])
  const at = folders.find((folder) => existsSync(`${folder}/libatomic.so.1`))
  return { ok: at !== undefined, found: at === undefined ? 'missing' : `${at}/libatomic.so.1` }
}

function subfolders(path: string): string[] {
  if (!existsSync(path)) return []
  return readdirSync(path)
    .filter((name) => name.endsWith('-linux-gnu'))
    .map((name) => `${path}/${name}`)
}

function lookAtSwap(): Finding {
  const areas = readFileSync('/proc/swaps', 'utf8').trim().split('\n').length - 1
  return { ok: areas === 0, found: areas === 0 ? 'off' : `on: ${areas} in /proc/swaps` }
}
