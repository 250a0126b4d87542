import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { withoutNeighbours } from './neighbours.ts'

/** Everything on this machine that a test could leave behind, as sorted lines. */
export type Leavings = ReadonlySet<string>

/**
 * What is there now: mounts in every mount namespace, processes that run one of our programs, listening
 * sockets, loop devices, FUSE connections, cgroups of ours, network namespaces, and the given folders.
 */
export function leavings(folders: readonly string[] = []): Leavings {
  return new Set([
    ...mounts(),
    ...processes(),
    ...unixSockets(),
    ...tcpListeners(),
    ...loops(),
    ...listing('/sys/fs/fuse/connections', 'fuse connection'),
    ...cgroups(),
    ...listing('/run/netns', 'network namespace'),
    ...temporaryFiles(),
    ...folders.flatMap((folder) => tree(folder)),
  ])
}

/** Lines of `after` that were not in `before`: what was left behind, by anybody but another test run. */
export function left(before: Leavings, after: Leavings): readonly string[] {
  return withoutNeighbours([...after].filter((line) => !before.has(line)).sort())
}

/**
 * Lines, once nothing is left any more or after five seconds: an ended process takes a moment to go.
 * What is reported was there at two looks, so nothing that comes and goes elsewhere is.
 */
export async function leftAfter(
  before: Leavings,
  folders: readonly string[] = [],
): Promise<readonly string[]> {
  const end = Date.now() + 5_000
  let seen: readonly string[] = []
  for (;;) {
    const lines = left(before, leavings(folders))
    if (lines.length === 0) return lines
    const stayed = lines.filter((line) => seen.includes(line))
    if (Date.now() > end && seen.length > 0) return stayed
    seen = lines
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function pids(): readonly string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
}

function mounts(): readonly string[] {
  const lines = new Set<string>()
  for (const pid of pids()) {
    for (const line of read(`/proc/${pid}/mountinfo`).split('\n')) {
      const words = line.split(' ')
      const kind = words[words.indexOf('-') + 1]
      if (line !== '' && /enclave|erofs|fuse|overlay/.test(`${kind} ${words[4]}`)) {
        lines.add(`mount ${kind} ${words[4]}`)
      }
    }
  }
  return [...lines]
}

function processes(): readonly string[] {
  return pids().flatMap((pid) => {
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
    const ours = /enclave-cc|supervisor\.cjs|agent\.cjs|init\.cjs|docker-registry|\brunc\b/
    if (!ours.test(command) || Number(pid) === process.pid) return []
    // test runners carry our folder's name in their command line
    if (/--test|scripts\/|test\//.test(command)) return []
    return [`process ${pid} ${command.slice(0, 120)}`]
  })
}

function unixSockets(): readonly string[] {
  return read('/proc/net/unix')
    .split('\n')
    .flatMap((line) => {
      const path = line.split(/\s+/)[7]
      return path?.includes('enclave') ? [`unix socket ${path}`] : []
    })
}

function tcpListeners(): readonly string[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) =>
    read(file)
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words[3] === '0A')
      .map((words) => `listener ${words[1]}`),
  )
}

function loops(): readonly string[] {
  return readdirSync('/sys/block')
    .filter((name) => existsSync(`/sys/block/${name}/loop/backing_file`))
    .map((name) => `loop ${name} ${read(`/sys/block/${name}/loop/backing_file`).trim()}`)
}

function cgroups(): readonly string[] {
  const roots = [
    '/sys/fs/cgroup',
    ...listing('/sys/fs/cgroup', '').map((n) => join('/sys/fs/cgroup', n.trim())),
  ]
  return roots.flatMap((root) => {
    const parent = join(root, 'enclave-cc')
    if (!existsSync(parent)) return []
    const below = readdirSync(parent, { recursive: true, withFileTypes: true })
    const folders = below.filter((entry) => entry.isDirectory())
    const paths = folders.map(({ parentPath, name }) => join(parentPath, name))
    // the parent is an empty folder, which whoever removes the last container takes away
    return [`file ${parent}`, ...paths.map((path) => `cgroup ${path}`)]
  })
}

function temporaryFiles(): readonly string[] {
  return readdirSync('/tmp')
    .filter((name) => name.startsWith('enclave-cc-') && !name.startsWith('enclave-cc-counts-'))
    .map((name) => `temporary /tmp/${name}`)
}

function tree(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name)
    return `file ${path}${entry.isSymbolicLink() ? ` -> ${readlinkSync(path)}` : ''}`
  })
}

function listing(folder: string, what: string): readonly string[] {
  try {
    return readdirSync(folder).map((name) => `${what} ${name}`)
  } catch {
    return []
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
