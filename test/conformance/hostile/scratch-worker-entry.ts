import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'
import type { Counts } from './reader-entry.ts'

/**
 * What is done to the scratch: `write` writes version `version` of every file, `check` reads them all and compares
 * with what was written last, `mix` does both in turn, file after file, with versions from `version` on. The first
 * writing in a new filesystem is of version 1.
 */
export interface ScratchTask {
  readonly kind: 'write' | 'check' | 'mix'
  readonly files: number
  readonly version: number
  readonly seed: number
}

// EIO; EROFS once ext4 gave up writing; ENOSPC. EUCLEAN and EBADMSG where a plain ext4 is broken.
const REFUSALS: ReadonlySet<number> = new Set([5, 30, 28, 117, 74])
const SAMPLES = 5

// Versions that each file may hold: the last, and those whose writing failed. Version 1 is the first.
let known: Set<number>[] = []

class Worker {
  readonly #counts = { right: 0, refused: 0, wrong: 0 }
  readonly #errors: Record<string, number> = {}
  readonly #samples: string[] = []
  readonly #task: ScratchTask & { readonly root: string }
  readonly #allowed: Set<number>[]

  constructor(task: ScratchTask & { readonly root: string }) {
    this.#task = task
    if (task.kind === 'write' && task.version === 1) {
      known = Array.from({ length: task.files }, () => new Set([1]))
    }
    this.#allowed = known
  }

  async run(): Promise<Counts> {
    const { kind, files, version, seed } = this.#task
    const random = randomOf(seed)
    for (let file = 0; file < files; file++) {
      if (kind === 'write') this.#attempt(file, () => this.#write(file, version))
      else if (kind === 'check') this.#attempt(file, () => this.#check(file))
      else {
        const at = random(files)
        if (random(2) === 0) this.#attempt(at, () => this.#write(at, version + file))
        else this.#attempt(at, () => this.#check(at))
      }
      if (file % 20 === 0) await turn()
    }
    if (kind === 'write') this.#flush()
    return { ...this.#counts, errors: this.#errors, samples: this.#samples }
  }

  #attempt(file: number, act: () => string | undefined): void {
    try {
      const found = act()
      if (found === undefined) this.#counts.right += 1
      else this.#wrong(`${file}: ${found}`)
    } catch (error) {
      const { errno = 0, code = '' } = error as NodeJS.ErrnoException
      if (!REFUSALS.has(-errno)) {
        this.#wrong(`${file}: ${String(error)}`)
        return
      }
      this.#counts.refused += 1
      this.#errors[code] = (this.#errors[code] ?? 0) + 1
    }
  }

  #write(file: number, version: number): undefined {
    const path = this.#path(file)
    const fd = openSync(path, 'r+')
    const old = this.#allowed[file] ?? new Set()
    this.#allowed[file] = new Set([...old, version])
    try {
      const bytes = contentOf(this.#task.seed, file, version)
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at)
      if (this.#task.kind === 'mix') fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    this.#allowed[file] = new Set([version])
    return undefined
  }

  /** So that the host has all of it on its disk. */
  #flush(): void {
    const { status } = spawnSync('sync', ['--file-system', this.#task.root])
    if (status === 0) return
    this.#counts.refused += 1
    this.#errors.EIO = (this.#errors.EIO ?? 0) + 1
  }

  /** Every block of a file is of a version that may be there; after a failed write they may be of two. */
  #check(file: number): string | undefined {
    const fd = openSync(this.#path(file), 'r')
    try {
      const versions = [...(this.#allowed[file] ?? [])].map((version) =>
        contentOf(this.#task.seed, file, version),
      )
      const length = versions[0]?.length ?? 0
      const bytes = Buffer.alloc(length + 1)
      let got = 0
      for (let count = -1; count !== 0; got += count)
        count = readSync(fd, bytes, got, length + 1 - got, got)
      if (got !== length) return `${got} bytes instead of ${length}`
      for (let at = 0; at < length; at += 4096) {
        const block = bytes.subarray(at, Math.min(at + 4096, length))
        if (!versions.some((each) => block.equals(each.subarray(at, at + block.length)))) {
          return `other bytes at ${at}`
        }
      }
      return undefined
    } finally {
      closeSync(fd)
    }
  }

  #path(file: number): string {
    return join(this.#task.root, 'written', `${file % 16}`, `f${file}`)
  }

  #wrong(sample: string): void {
    this.#counts.wrong += 1
    if (this.#samples.length < SAMPLES) this.#samples.push(sample)
  }
}

/** Bytes of a version of a file: its length is the same in every version. */
function contentOf(seed: number, file: number, version: number): Uint8Array {
  const length = 1 + ((file * 7919) % 40_000)
  return createHash('shake256', { outputLength: length })
    .update(`${seed} ${file} ${version}`)
    .digest()
}

/** Directories and empty files of version 0. */
function prepare({ root, files }: ScratchTask & { readonly root: string }): void {
  for (let i = 0; i < 16; i++) mkdirSync(join(root, 'written', `${i}`), { recursive: true })
  for (let file = 0; file < files; file++) {
    closeSync(openSync(join(root, 'written', `${file % 16}`, `f${file}`), 'a'))
  }
}

process.on('message', (task: ScratchTask & { readonly root: string }) => {
  if (task.kind === 'write') prepare(task)
  void new Worker(task).run().then((counts) => process.send?.(counts))
})
process.on('disconnect', () => process.exit())
