import { concat, utf8 } from '#lib/bytes'
import { paxHeader, tarEntry } from './tar-builder.ts'

/** One name of the tree that `entryArchive` makes, as `find` of a mounted image should show it. */
export interface PlannedEntry {
  readonly path: string
  readonly type: 'd' | 'f' | 'l' | 'p' | 'c'
  readonly mode: number
  readonly uid: number
  readonly size: number
  readonly links: number
  readonly mtime: number
  /** Symlinks: the target. */
  readonly target: string
}

/** Files of a subdirectory. */
const IN_ONE = 100
const GROUP = 20

/**
 * Names of a tree of about `count` entries: half of them in one directory, the rest in
 * directories of 100, in an order that has nothing to do with names; in each group of 20 one symlink, one
 * hard link before and one after its target, a fifo, a whiteout, and files of 0 to 1500 bytes.
 */
export function* plannedEntries(count: number): Generator<PlannedEntry, void, undefined> {
  const none = { uid: 0, mtime: 0, target: '' }
  const directory = { ...none, type: 'd', mode: 0o755, size: 0 } as const
  const many = Math.floor(count / 2)
  const folders = Math.ceil((count - many) / IN_ONE)
  yield { ...directory, path: 'many', links: 2 }
  yield { ...directory, path: 'tree', links: 2 + folders }
  for (let i = 0; i < folders; i++) yield { ...directory, path: `tree/${i}`, links: 2 }
  for (let i = 0; i < count; i++) yield entryAt(i, many)
}

/** The archive of `plannedEntries`, entry by entry: parents after their children, and no data kept. */
export function* entryArchive(count: number): Generator<Uint8Array, void, undefined> {
  const many = Math.floor(count / 2)
  for (let group = 0; group < count; group += GROUP) {
    const size = Math.min(GROUP, count - group)
    for (let k = 0; k < size; k++) yield archived(entryAt(group + k, many), group, k, many)
  }
  for (const { path, type } of plannedEntries(count)) {
    if (type !== 'd') break
    yield tarEntry({ name: path, type: '5', mode: 0o755 })
  }
  yield new Uint8Array(1024)
}

/** Content of the file at a path: what its name says, cut at its size. */
export function contentOf({ path, size }: Pick<PlannedEntry, 'path' | 'size'>): Uint8Array {
  return utf8(`${path} `.repeat(Math.ceil(size / (path.length + 1)))).subarray(0, size)
}

function entryAt(i: number, many: number): PlannedEntry {
  const k = i % GROUP
  const path = pathOf(i, many, k === 5 ? 'gone' : 'entry')
  // The two links share the inode of the file between them.
  const file = k >= 7 && k <= 9 ? i - k + 8 : i
  const common = { path, mtime: 1_000_000_000 + file, uid: file % 70_000, target: '', links: 1 }
  switch (k) {
    case 3:
      return {
        ...common,
        type: 'l',
        mode: 0o777,
        size: `target-${i}`.length,
        target: `target-${i}`,
      }
    case 4:
      return { ...common, type: 'p', mode: 0o640, size: 0 }
    case 5:
      return { ...common, type: 'c', mode: 0, size: 0, mtime: 0, uid: 0 }
    default: {
      const links = file !== i || k === 8 ? 3 : 1
      return { ...common, type: 'f', mode: 0o644, size: (file * 7919) % 1501, links }
    }
  }
}

function pathOf(i: number, many: number, kind: string): string {
  const name = `${kind}-${((i * 2_654_435_761) % 4_294_967_296).toString(36)}-${i}`
  return i < many ? `many/${name}` : `tree/${Math.floor((i - many) / IN_ONE)}/${name}`
}

function archived(entry: PlannedEntry, group: number, k: number, many: number): Uint8Array {
  const { path, mode, uid, mtime, target } = entry
  const fields = { name: path, mode, uid, mtime }
  switch (entry.type) {
    case 'l':
      return tarEntry({ ...fields, type: '2', link: target })
    case 'p':
      return tarEntry({ ...fields, type: '6' })
    case 'c':
      return tarEntry({ name: path.replace(/gone-/, '.wh.gone-') })
    default: {
      const source = entryAt(group + 8, many)
      if (k === 7 || k === 9) return tarEntry({ name: path, type: '1', link: source.path })
      const file = tarEntry({ ...fields, data: contentOf(entry) })
      // An attribute here and there: they have a pool of their own.
      return k === 11 ? concat(paxHeader({ 'SCHILY.xattr.user.note': path }), file) : file
    }
  }
}
