import { type ChildProcess, execFileSync, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, rmdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { attachLoop, loopMount } from '#platform/loop'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'
import { enterPrivateMounts } from '#platform/process'
import { Ground } from '../../../src/enclave/init/ground.ts'
import { openLayers } from '../../../src/enclave/init/open-layers.ts'
import { mountRootfs, type Rootfs } from '../../../src/enclave/init/rootfs.ts'
import { mountDiskScratch, mountMemoryScratch } from '../../../src/enclave/init/scratch.ts'
import { ServePool } from '../../../src/enclave/init/serve-pool.ts'
import { bundleServeEntry } from '../../support/serve-bundle.ts'
import type { DiskMode } from './disk-entry.ts'
import type { Counts } from './reader-entry.ts'
import type { ScratchDiskOrder } from './scratch-disk-entry.ts'
import type { ScratchTask } from './scratch-worker-entry.ts'
import type { Expected } from './tree.ts'

// Init's half of the suite: the real mounts of init in a namespace of their own, and programs that read
// what is mounted there. No container: init would end it at the first chunk that is not genuine.

/** A layer as it is handed over, in base64. */
export interface LayerJob {
  readonly key: string
  readonly root: string
  readonly header: string
  readonly file: string
}

/** The writable layer. */
export interface ScratchJob {
  readonly kind: 'tmpfs' | 'disk'
  /** Bytes that may be written. */
  readonly size: number
  /** The disk that it lies on, where that is not the spool's: bytes of a small one, or the path of another. */
  readonly disk?: number | string
}

/** What the stack is told to do. Each is answered with a `StackAnswer` of the same number. */
export type StackOrder =
  | { readonly do: 'begin'; readonly base: string; readonly expected: readonly Expected[] }
  | {
      readonly do: 'mount'
      readonly spool: string
      readonly layers: readonly LayerJob[]
      readonly scratch: ScratchJob
    }
  /** A filesystem on a plain file, as an unprotected scratch would be. */
  | {
      readonly do: 'mountScratchTwin'
      readonly file: string
      readonly size: number
      /** Whether it has the disk sync what was written, which the encrypted scratch does not. */
      readonly barrier: boolean
    }
  /** Has one program write and read files in the tree (scratch-worker-entry.ts). */
  | { readonly do: 'work'; readonly task: ScratchTask }
  /** The same with EROFS images that nothing authenticates. */
  | { readonly do: 'mountTwin'; readonly images: readonly string[] }
  | { readonly do: 'read'; readonly seed: number }
  /** Two readers at once, `passes` times through the tree each. */
  | { readonly do: 'load'; readonly seed: number; readonly passes: number }
  | { readonly do: 'unmount' }
  | { readonly do: 'disk'; readonly at: string; readonly files: unknown; readonly seed: number }
  /** A disk that can be written to (scratch-disk-entry.ts), with files of `size` bytes. */
  | {
      readonly do: 'scratchDisk'
      readonly at: string
      readonly size: number
      readonly seed: number
    }
  | ({ readonly do: 'diskMode' } & ({ readonly mode: DiskMode } | ScratchDiskOrder))
  | { readonly do: 'killDisk' }
  /** Runs a program with the root of the tree as its last argument, and gives what became of it. */
  | { readonly do: 'run'; readonly program: readonly string[]; readonly inside: string }

/** What came of it. */
export interface StackAnswer {
  /** Code of a mount that was refused. */
  readonly refused?: string
  readonly counts?: readonly Counts[]
  /** What a program printed, or the signal or error that it ended with. */
  readonly ran?: string
  /** The first chunk that init found not to be genuine, as `l0/17`. */
  readonly alarm?: string
  /** An error of the suite itself. */
  readonly failure?: string
}

type MountOrder = Extract<StackOrder, { do: 'mount' }>
type TwinOrder = Extract<StackOrder, { do: 'mountScratchTwin' }>

interface Mounted {
  readonly root: string
  readonly pool?: ServePool
  unmount(): Promise<void>
}

const READERS = 2
const { rdonly, nodev, nosuid } = MOUNT_FLAGS

class Stack {
  #base = ''
  #serveEntry = ''
  #readers: ChildProcess[] = []
  #worker: ChildProcess | undefined
  #disk: { readonly process: ChildProcess; readonly at: string } | undefined
  #mounted: Mounted | undefined

  async order(order: StackOrder): Promise<StackAnswer> {
    switch (order.do) {
      case 'begin':
        this.#base = order.base
        this.#serveEntry = bundleServeEntry(`${order.base}-serve.cjs`)
        for (let i = 0; i < READERS; i++) this.#readers.push(startReader(order.expected))
        return {}
      case 'mount':
        return this.#refusable(() => this.#mountSealed(order))
      case 'mountTwin':
        return this.#refusable(async () => this.#mountTwin(order.images))
      case 'mountScratchTwin':
        this.#mounted = this.#mountScratchTwin(order)
        return {}
      case 'work':
        return this.#read([this.#work(order.task)])
      case 'read':
        return this.#read([this.#ask(0, { kind: 'once', seed: order.seed })])
      case 'load': {
        const load = { kind: 'load', passes: order.passes } as const
        return this.#read(
          this.#readers.map((_, i) => this.#ask(i, { ...load, seed: order.seed + 1000 * i })),
        )
      }
      case 'unmount':
        await this.#mounted?.unmount()
        this.#mounted = undefined
        return {}
      case 'disk':
        await this.#startDisk('disk-entry.ts', order.at, [JSON.stringify(order.files), order.seed])
        return {}
      case 'scratchDisk':
        mkdirSync(order.at)
        await this.#startDisk('scratch-disk-entry.ts', order.at, [order.size, order.seed])
        return {}
      case 'diskMode': {
        this.#disk?.process.send(order)
        if (this.#disk !== undefined) await once(this.#disk.process, 'message')
        return {}
      }
      case 'killDisk':
        await this.#endDisk()
        return {}
      case 'run':
        return { ran: this.#run(order.program, order.inside) }
    }
  }

  async close(): Promise<void> {
    for (const reader of this.#readers) reader.disconnect()
    this.#worker?.disconnect()
    await this.#mounted?.unmount()
    await this.#endDisk()
  }

  async #refusable(mount: () => Promise<Mounted>): Promise<StackAnswer> {
    try {
      this.#mounted = await mount()
      return {}
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === undefined) throw error
      return { refused: code }
    }
  }

  async #mountSealed({ spool, layers, scratch: job }: MountOrder): Promise<Mounted> {
    const files = openLayers(
      { spool, cache: spool },
      layers.map(({ key, root, header, file }) => ({
        key: fromBase64(key),
        root: fromBase64(root),
        header: fromBase64(header),
        file,
      })),
    )
    const pool = new ServePool(this.#serveEntry, 2)
    const small =
      typeof job.disk === 'number' ? smallDisk(`${this.#base}-disk`, job.disk) : undefined
    const place = typeof job.disk === 'string' ? job.disk : (small?.path ?? spool)
    const places = { mounts: linuxMounts, pool, base: this.#base, spool: place }
    const onDisk = job.kind === 'disk'
    const ground = await Ground.open(places, onDisk ? job.size : undefined)
    const programs = { mke2fs: '/usr/sbin/mke2fs', cat: '/usr/bin/cat' }
    const scratch = onDisk
      ? await mountDiskScratch(ground, programs)
      : mountMemoryScratch(ground, { kind: 'tmpfs', size: job.size })
    const leave = async (): Promise<void> => {
      await scratch.unmount()
      await ground.close()
      small?.leave()
    }
    let rootfs: Rootfs
    try {
      rootfs = mountRootfs({ ground, scratch, files, pool })
    } catch (error) {
      await leave()
      throw error
    }
    return {
      root: rootfs.path,
      pool,
      unmount: async () => {
        rootfs.unmount()
        await leave()
      },
    }
  }

  /** ext4 on a loop device like that of the encrypted scratch, on a file that nothing encrypts. */
  #mountScratchTwin({ file, size, barrier }: TwinOrder): Mounted {
    const root = this.#place()
    writeFileSync(file, '')
    truncateSync(file, size)
    const target = join(root, 's')
    mkdirSync(target)
    const { path, fd } = attachLoop(file, 'write')
    try {
      execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-m', '0', path])
      const options = `errors=remount-ro${barrier ? '' : ',nobarrier'}`
      execFileSync('mount', ['-o', options, path, target])
    } finally {
      closeSync(fd)
    }
    return {
      root: target,
      unmount: async () => {
        linuxMounts.unmount(target)
        this.#leave(root)
      },
    }
  }

  #mountTwin(images: readonly string[]): Mounted {
    const base = this.#place()
    const mounted: string[] = []
    const unmount = async (): Promise<void> => {
      for (const target of mounted.reverse()) linuxMounts.unmount(target)
      this.#leave(base)
    }
    try {
      const lower = images.map((image, i) => {
        const target = join(base, `l${i}`)
        mkdirSync(target)
        mountErofs(image, target)
        mounted.push(target)
        return target
      })
      const root = join(base, 'r')
      for (const name of [root, join(base, 'u'), join(base, 'w')]) mkdirSync(name, { mode: 0o755 })
      const upper = `upperdir=${join(base, 'u')},workdir=${join(base, 'w')}`
      const data = `lowerdir=${lower.reverse().join(':')},${upper}`
      linuxMounts.mount({ source: 'overlay', target: root, type: 'overlay', flags: 0, data })
      mounted.push(root)
      return { root, unmount }
    } catch (error) {
      for (const target of mounted.reverse()) linuxMounts.unmount(target)
      this.#leave(base)
      throw error
    }
  }

  #place(): string {
    mkdirSync(this.#base, { mode: 0o700 })
    const data = 'mode=700,size=16m'
    const place = { source: 'hostile', target: this.#base, type: 'tmpfs' }
    linuxMounts.mount({ ...place, flags: nodev | nosuid, data })
    return this.#base
  }

  #leave(base: string): void {
    linuxMounts.unmount(base)
    rmdirSync(base)
  }

  #ask(index: number, order: Record<string, unknown>): Promise<Counts> {
    const reader = this.#readers[index]
    if (reader === undefined || this.#mounted === undefined) throw new Error('nothing is mounted')
    reader.send({ ...order, root: this.#mounted.root })
    return once(reader, 'message').then(([counts]) => counts as Counts)
  }

  #work(task: ScratchTask): Promise<Counts> {
    this.#worker ??= fork(join(import.meta.dirname, 'scratch-worker-entry.ts'), {
      stdio: 'inherit',
    })
    this.#worker.send({ ...task, root: this.#mounted?.root ?? '' })
    return once(this.#worker, 'message').then(([counts]) => counts as Counts)
  }

  async #read(readers: readonly Promise<Counts>[]): Promise<StackAnswer> {
    const counts = await Promise.all(readers)
    const trouble = this.#mounted?.pool?.trouble
    if (trouble?.kind === 'defect') throw trouble.cause
    return trouble === undefined
      ? { counts }
      : { counts, alarm: `${trouble.file}/${trouble.chunk}` }
  }

  #run(program: readonly string[], inside: string): string {
    const path = join(this.#mounted?.root ?? '', inside)
    const [command = path, ...args] = program.length === 0 ? [path] : [...program, path]
    const ran = spawnSync(command, args, { encoding: 'utf8', cwd: '/' })
    return ran.signal ?? ran.error?.message ?? `exit ${ran.status}: ${ran.stdout}${ran.stderr}`
  }

  async #startDisk(name: string, at: string, args: readonly (string | number)[]): Promise<void> {
    const entry = join(import.meta.dirname, name)
    const child = fork(entry, [at, ...args.map(String)], { stdio: 'inherit' })
    this.#disk = { process: child, at }
    await once(child, 'message')
  }

  async #endDisk(): Promise<void> {
    if (this.#disk === undefined) return
    const { process: child, at } = this.#disk
    this.#disk = undefined
    const gone = once(child, 'exit')
    // It may sit in a read of its device, which only a signal or the unmount ends.
    child.kill('SIGKILL')
    await gone
    linuxMounts.unmount(at, { detach: true })
  }
}

/** A disk of the node that is soon full. */
function smallDisk(path: string, size: number): { path: string; leave(): void } {
  mkdirSync(path)
  const disk = { source: 'disk', target: path, type: 'tmpfs' }
  linuxMounts.mount({ ...disk, flags: nodev | nosuid, data: `size=${size}` })
  return {
    path,
    leave() {
      linuxMounts.unmount(path)
      rmdirSync(path)
    },
  }
}

function mountErofs(source: string, target: string): void {
  try {
    linuxMounts.mount({ source, target, type: 'erofs', flags: rdonly | nodev })
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOTBLK') throw error
    loopMount(source, target)
  }
}

function startReader(expected: readonly Expected[]): ChildProcess {
  const reader = fork(join(import.meta.dirname, 'reader-entry.ts'), { stdio: 'inherit' })
  reader.send({ expected })
  return reader
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'))
}

function main(): void {
  enterPrivateMounts()
  const stack = new Stack()
  process.on('message', ({ number, order }: { number: number; order: StackOrder }) => {
    const say = (answer: StackAnswer): void => void process.send?.({ number, answer })
    stack.order(order).then(say, (error: Error) => say({ failure: error.stack ?? error.message }))
  })
  process.on('disconnect', () => {
    void stack.close().finally(() => process.exit())
  })
}

main()
