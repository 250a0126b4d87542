import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { linuxMounts } from '#platform/mount'
import { enterPrivateMounts } from '#platform/process'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'
import { cacheLayers } from './cache-layers.ts'
import { Looks, look, lookOrKeep, lookUnchecked } from './cache-reader.ts'
import type { DiskMode } from './disk-entry.ts'
import type { Counts } from './reader-entry.ts'

// An agent that starts again and again beside others: looks for layers, seals what it misses into the
// cache, and reads all of what it got. After each look a reader that checks nothing looks too.

/** What the agent is told. Each order is answered with an `AgentAnswer`. */
export type AgentOrder =
  /** So many looks in a directory; `keeps`: what is missed is sealed into it. */
  | {
      readonly do: 'look'
      readonly directory: string
      readonly seed: number
      readonly looks: number
      readonly keeps: boolean
    }
  /** Puts a disk of its own making at `at`, in a mount namespace of this process. */
  | { readonly do: 'disk'; readonly at: string; readonly files: unknown; readonly seed: number }
  | { readonly do: 'diskMode'; readonly mode: DiskMode }
  | { readonly do: 'killDisk' }

/** What came of it. */
export interface AgentAnswer {
  readonly sealed?: Counts
  readonly twin?: Counts
  /** An error of the suite itself. */
  readonly failure?: string
}

const AT_ONCE = 2

class Agent {
  readonly #layers = cacheLayers()
  #disk: { readonly process: ChildProcess; readonly at: string } | undefined

  async order(order: AgentOrder): Promise<AgentAnswer> {
    switch (order.do) {
      case 'look':
        return await this.#look(order)
      case 'disk': {
        const entry = join(import.meta.dirname, 'disk-entry.ts')
        enterPrivateMounts()
        const args = [order.at, JSON.stringify(order.files), String(order.seed)]
        const child = fork(entry, args, { stdio: 'inherit' })
        this.#disk = { process: child, at: order.at }
        await once(child, 'message')
        return {}
      }
      case 'diskMode':
        this.#disk?.process.send({ mode: order.mode })
        if (this.#disk !== undefined) await once(this.#disk.process, 'message')
        return {}
      case 'killDisk':
        await this.close()
        return {}
    }
  }

  async close(): Promise<void> {
    if (this.#disk === undefined) return
    const { process: child, at } = this.#disk
    this.#disk = undefined
    const gone = once(child, 'exit')
    // It may sit in a read of its device, which only a signal or the unmount ends.
    child.kill('SIGKILL')
    await gone
    linuxMounts.unmount(at, { detach: true })
  }

  async #look(order: Extract<AgentOrder, { do: 'look' }>): Promise<AgentAnswer> {
    const layers = await this.#layers
    const random = randomOf(order.seed)
    const [sealed, twin] = [new Looks(), new Looks()]
    const next = order.keeps ? lookOrKeep : look
    let left = order.looks
    const pod = async (): Promise<void> => {
      while (left-- > 0) {
        const layer = layers[random(layers.length)]
        if (layer === undefined) throw new RangeError('layer')
        sealed.add(await next(order.directory, layer))
        twin.add(await lookUnchecked(order.directory, layer))
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, pod))
    return { sealed: sealed.result(), twin: twin.result() }
  }
}

const agent = new Agent()
process.on('message', (order: AgentOrder) => {
  const say = (answer: AgentAnswer): void => void process.send?.(answer)
  agent.order(order).then(say, (error: Error) => say({ failure: error.stack ?? error.message }))
})
process.on('disconnect', () => {
  void agent.close().finally(() => process.exit())
})
