import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Name of a world's folder: the process that made it stands in it, so that others know whose it is. */
export function worldPrefix(name: string): string {
  return join(tmpdir(), `enclave-cc-${name}-${process.pid}-`)
}

// Another run may have another folder for what is temporary.
const WORLD = /\/enclave-cc-[a-z0-9-]*?-(\d+)-\w{6}/g
const OURS = /enclave-cc|supervisor\.cjs|agent\.cjs|init\.cjs|docker-registry|\brunc\b/

interface Entry {
  readonly parent: number
  /** Its id in the pid namespace that it lives in: the one that it knows itself by. */
  readonly own: number
  readonly command: string
  /** Command, environment, root and working directory: whatever may name a world. */
  readonly text: string
}

/**
 * Lines of leavings without those that belong to another test run on the same machine, which is alive
 * and was not started by this process. What nobody else is seen to own stays, so on a machine with a
 * single run nothing is left out.
 */
export function withoutNeighbours(lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return lines
  const neighbours = new Neighbours()
  return lines.filter((line) => !neighbours.own(line))
}

/** Other processes whose command, environment, root or working directory lies in a folder or names it. */
export function processesNaming(folder: string): readonly number[] {
  return [...processTable()]
    .filter(([pid, { text }]) => pid !== process.pid && text.includes(folder))
    .map(([pid]) => pid)
}

class Neighbours {
  readonly #table = processTable()
  readonly #known = new Map<number, boolean>()
  readonly #ancestors = new Set(this.#chain(process.pid))
  readonly #folders = readdirSync(tmpdir())
    .map((name) => join(tmpdir(), name))
    .filter((folder) => this.#strangersFolder(folder))

  own(line: string): boolean {
    if (this.#strangersFolder(line)) return true
    const [kind, word = ''] = line.split(' ')
    switch (kind) {
      case 'process':
        return this.#stranger(Number(word))
      case 'mount': {
        const target = line.split(' ').slice(2).join(' ')
        const same = (words: readonly string[]): boolean =>
          words[4] === target && words[words.indexOf('-') + 1] === word
        return (
          this.#allStrangers(this.#seeing(same)) ||
          (target !== '/' && this.#allStrangers(this.#naming(target)))
        )
      }
      case 'loop':
        // mounted, or held open while it is being made ready
        return this.#allStrangers([
          ...this.#seeing((words) => words[words.indexOf('-') + 2] === `/dev/${word}`),
          ...this.#holding(`/dev/${word}`),
        ])
      case 'fuse':
        return this.#allStrangers(this.#seeing((words) => words[2] === `0:${line.split(' ')[2]}`))
      case 'listener':
        return this.#allStrangers(this.#holding(`socket:[${listenerInode(word)}]`))
      case 'temporary':
        return this.#allStrangers([...this.#holding(`${word}/`), ...this.#naming(word)])
      case 'cgroup':
      case 'file':
        return word.startsWith('/sys/fs/cgroup/') && this.#strangersCgroup(word)
      default:
        return false
    }
  }

  // Those who have a container have the folder above it too.
  #strangersCgroup(path: string): boolean {
    const id = /\/enclave-cc\/([0-9a-f]{64})/.exec(path)?.[1] ?? ''
    const members = membersBelow(path)
    return (
      // a process of a pid namespace that we do not see into
      members.includes(0) ||
      this.#folders.some((folder) => existsSync(join(folder, 'root/containers', id))) ||
      this.#allStrangers(members)
    )
  }

  /** True if the text names worlds whose makers live and are not of this run. */
  #strangersFolder(text: string): boolean {
    const makers = [...text.matchAll(WORLD)].map((match) => Number(match[1]))
    return makers.length > 0 && makers.every((own) => this.#strangersOwn(own))
  }

  #strangersOwn(own: number): boolean {
    const makers = [...this.#table].filter(([, entry]) => entry.own === own)
    return makers.length > 0 && makers.every(([pid]) => !this.#chain(pid).includes(process.pid))
  }

  #stranger(pid: number): boolean {
    const known = this.#known.get(pid)
    if (known !== undefined) return known
    const chain = this.#chain(pid)
    const entries = chain
      .filter((each) => !this.#ancestors.has(each))
      .flatMap((each) => this.#table.get(each) ?? [])
    const named = entries.find(({ text }) => text.match(WORLD) !== null)
    // whatever of ours lost its parent is a child of the first process; all else has somebody who waits
    const above = entries.slice(1).filter(({ command }) => !OURS.test(command))
    const strange =
      !chain.includes(process.pid) &&
      !this.#ancestors.has(pid) &&
      (named === undefined ? above.length > 0 : this.#strangersFolder(named.text))
    this.#known.set(pid, strange)
    return strange
  }

  #allStrangers(pids: readonly number[]): boolean {
    return pids.length > 0 && pids.every((pid) => this.#stranger(pid))
  }

  /** The process and its ancestors. */
  #chain(pid: number): readonly number[] {
    const chain: number[] = []
    for (let at = pid; at > 1 && !chain.includes(at); at = this.#table.get(at)?.parent ?? 0) {
      chain.push(at)
    }
    return chain
  }

  #seeing(matches: (words: readonly string[]) => boolean): readonly number[] {
    return [...this.#table.keys()].filter((pid) =>
      read(`/proc/${pid}/mountinfo`)
        .split('\n')
        .some((line) => matches(line.split(' '))),
    )
  }

  #naming(path: string): readonly number[] {
    return [...this.#table].filter(([, { text }]) => text.includes(path)).map(([pid]) => pid)
  }

  #holding(start: string): readonly number[] {
    return [...this.#table.keys()].filter((pid) => {
      try {
        return readdirSync(`/proc/${pid}/fd`).some((fd) =>
          link(`/proc/${pid}/fd/${fd}`).startsWith(start),
        )
      } catch {
        return false
      }
    })
  }
}

function processTable(): ReadonlyMap<number, Entry> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return new Map(
    pids.flatMap((pid): [number, Entry][] => {
      const stat = read(`/proc/${pid}/stat`)
      if (stat === '') return []
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')
      const environment = read(`/proc/${pid}/environ`)
      const text = `${command}\n${environment}\n${link(`/proc/${pid}/root`)}\n${link(`/proc/${pid}/cwd`)}`
      const own = Number(/^NSpid:.*\t(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? pid)
      return [[Number(pid), { parent, own, command, text }]]
    }),
  )
}

/** Processes in a control group and in those below it. */
function membersBelow(path: string): readonly number[] {
  const own = read(join(path, 'cgroup.procs')).split('\n').filter(Boolean).map(Number)
  try {
    const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    return [...own, ...below.flatMap(({ name }) => membersBelow(join(path, name)))]
  } catch {
    return own
  }
}

function listenerInode(address: string): string {
  const words = ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((file) => read(file).split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .find((line) => line[1] === address && line[3] === '0A')
  return words?.[9] ?? ''
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
