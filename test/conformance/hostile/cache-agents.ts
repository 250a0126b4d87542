import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { AgentAnswer, AgentOrder } from './cache-agent-entry.ts'
import type { Counts } from './reader-entry.ts'

/** What the agents got, and what readers without checks got beside them. */
export interface BothCounts {
  readonly sealed: Counts
  readonly twin: Counts
}

/** Agents in processes of their own, all of one node. */
export class CacheAgents implements AsyncDisposable {
  readonly #processes: readonly ChildProcess[]

  constructor(count: number) {
    this.#processes = Array.from({ length: count }, () =>
      fork(join(import.meta.dirname, 'cache-agent-entry.ts'), {
        stdio: 'inherit',
        execArgv: ['--disable-warning=ExperimentalWarning'],
      }),
    )
  }

  /** Gives all of them an order. Throws if the suite itself failed. */
  async order(order: AgentOrder): Promise<void> {
    await this.#all(() => order)
  }

  /** Has each of them look so often. */
  async look(order: Omit<Extract<AgentOrder, { do: 'look' }>, 'do'>): Promise<BothCounts> {
    const answers = await this.#all((i) => ({ ...order, do: 'look', seed: order.seed + 1000 * i }))
    return {
      sealed: sumOf(answers.flatMap(({ sealed = [] }) => sealed)),
      twin: sumOf(answers.flatMap(({ twin = [] }) => twin)),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#processes.map(async (child) => {
        if (child.exitCode !== null) return
        const gone = once(child, 'exit')
        child.disconnect()
        await gone
      }),
    )
  }

  async #all(orderOf: (index: number) => AgentOrder): Promise<readonly AgentAnswer[]> {
    const answers = await Promise.all(
      this.#processes.map(async (child, i) => {
        const answer = answerOf(child)
        child.send(orderOf(i))
        return await answer
      }),
    )
    for (const { failure } of answers) if (failure !== undefined) throw new Error(failure)
    return answers
  }
}

async function answerOf(child: ChildProcess): Promise<AgentAnswer> {
  const stop = new AbortController()
  const event = async (name: 'message' | 'exit'): Promise<AgentAnswer> => {
    const [given] = await once(child, name, { signal: stop.signal })
    return name === 'message' ? (given as AgentAnswer) : { failure: `an agent ended: ${given}` }
  }
  try {
    return await Promise.any([event('message'), event('exit')])
  } finally {
    stop.abort()
  }
}

/** The counts of all, added up. */
export function sumOf(counts: readonly Counts[]): Counts {
  const errors: Record<string, number> = {}
  for (const each of counts) {
    for (const [code, count] of Object.entries(each.errors)) {
      errors[code] = (errors[code] ?? 0) + count
    }
  }
  const of = (kind: 'right' | 'refused' | 'wrong'): number =>
    counts.reduce((sum, each) => sum + each[kind], 0)
  return {
    ...{ right: of('right'), refused: of('refused'), wrong: of('wrong'), errors },
    samples: counts.flatMap(({ samples }) => samples),
  }
}
