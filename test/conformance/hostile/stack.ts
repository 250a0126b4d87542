import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HandoverLayer } from '#lib/handover'
import type { Counts } from './reader-entry.ts'
import type { ScratchTask } from './scratch-worker-entry.ts'
import type { ScratchJob, StackAnswer, StackOrder } from './stack-entry.ts'
import type { Expected } from './tree.ts'

/** What a reading came to, with the chunk that init found first. */
export interface Reading extends Counts {
  readonly alarm?: string
}

/** The mounts of init and the readers on them, in processes of their own. */
export class Stack implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, (answer: StackAnswer) => void>()
  #orders = 0

  private constructor(child: ChildProcess) {
    this.#process = child
    child.on('message', ({ number, answer }: { number: number; answer: StackAnswer }) => {
      this.#waiting.get(number)?.(answer)
      this.#waiting.delete(number)
    })
    child.once('exit', () => {
      for (const answer of this.#waiting.values()) answer({ failure: 'the stack ended' })
    })
  }

  /** Starts it. `base` is a path where it may mount; `expected` is what readers compare with. */
  static async start(base: string, expected: readonly Expected[]): Promise<Stack> {
    const child = fork(join(import.meta.dirname, 'stack-entry.ts'), {
      stdio: 'inherit',
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    const stack = new Stack(child)
    await stack.order({ do: 'begin', base, expected })
    return stack
  }

  /** Gives an order and waits for what comes of it. Throws if the suite itself failed. */
  async order(order: StackOrder): Promise<StackAnswer> {
    const { promise, resolve } = Promise.withResolvers<StackAnswer>()
    this.#orders += 1
    this.#waiting.set(this.#orders, resolve)
    this.#process.send({ number: this.#orders, order })
    const answer = await promise
    if (answer.failure !== undefined) throw new Error(`${order.do}: ${answer.failure}`)
    return answer
  }

  /** Mounts sealed layers as init does; gives the code of a refusal. */
  async mount(
    spool: string,
    layers: readonly HandoverLayer[],
    scratch: ScratchJob = { kind: 'tmpfs', size: 16 * 1024 * 1024 },
  ): Promise<string | undefined> {
    const jobs = layers.map(({ key, root, header, file }) => ({
      key: Buffer.from(key).toString('base64'),
      root: Buffer.from(root).toString('base64'),
      header: Buffer.from(header).toString('base64'),
      file,
    }))
    return (await this.order({ do: 'mount', spool, layers: jobs, scratch })).refused
  }

  /** Mounts plain EROFS images, base first; gives the code of a refusal. */
  async mountTwin(images: readonly string[]): Promise<string | undefined> {
    return (await this.order({ do: 'mountTwin', images })).refused
  }

  /** Reads the whole tree once. */
  async read(seed: number): Promise<Reading> {
    return sum(await this.order({ do: 'read', seed }))
  }

  /** Reads the whole tree with two programs, `passes` times each. */
  async load(seed: number, passes: number): Promise<Reading> {
    return sum(await this.order({ do: 'load', seed, passes }))
  }

  /** Process that holds the mounts, as init would. */
  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Has files written or read in the tree. */
  async work(task: ScratchTask): Promise<Reading> {
    return sum(await this.order({ do: 'work', task }))
  }

  /** Unmounts what is mounted. */
  async unmount(): Promise<void> {
    await this.order({ do: 'unmount' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return
    const gone = once(this.#process, 'exit')
    this.#process.disconnect()
    await gone
  }
}

/** Makes the kernel forget what it has cached of every file, so that reads ask the server: `all`, or contents alone. */
export function dropCaches(what: 'all' | 'pages' = 'all'): void {
  writeFileSync('/proc/sys/vm/drop_caches', what === 'all' ? '3' : '1')
}

/**
 * Repeats a load until a reader met what the host did (an error of the sealed layers, other bytes of the
 * twin), at most ten times, and adds up what all of them came to.
 */
export async function meeting(
  kind: 'sealed' | 'twin',
  load: (seed: number) => Promise<Reading>,
): Promise<Reading> {
  let total: Reading = { right: 0, refused: 0, wrong: 0, errors: {}, samples: [] }
  for (let attempt = 0; attempt < 10; attempt++) {
    const next = await load(1 + 100_000 * attempt)
    total = { ...next, ...sum({ counts: [total, next] }) }
    if ((kind === 'sealed' ? total.refused : total.wrong) > 0) break
  }
  return total
}

/** Several readings in one. */
export function sum({ counts = [], alarm }: Pick<StackAnswer, 'counts' | 'alarm'>): Reading {
  const total = { right: 0, refused: 0, wrong: 0 }
  const errors: Record<string, number> = {}
  for (const each of counts) {
    total.right += each.right
    total.refused += each.refused
    total.wrong += each.wrong
    for (const [code, count] of Object.entries(each.errors)) {
      errors[code] = (errors[code] ?? 0) + count
    }
  }
  const samples = counts.flatMap((each) => each.samples)
  return { ...total, errors, samples, ...(alarm === undefined ? {} : { alarm }) }
}
