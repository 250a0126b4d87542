import { randomOf } from './fuzz-mutations.ts'

/** What can be killed: an enclave, the supervisor, or the program in the container. */
export const VICTIMS = ['agent', 'init', 'supervisor', 'container'] as const

/** One of `VICTIMS`. */
export type Victim = (typeof VICTIMS)[number]

/** One kill. */
export interface Round {
  /** From 1. */
  readonly number: number
  readonly victim: Victim
  /** While the container starts, or once its program runs. */
  readonly phase: 'start' | 'running'
  /** Milliseconds after the command began; for phase `start`. */
  readonly afterMs: number
}

/**
 * The rounds of a seed. Every victim dies in both phases before any combination comes again; moments of
 * phase `start` are spread over the time that a start takes.
 */
export function* planRounds(seed: number, rounds: number, startMs: number): Generator<Round> {
  const random = randomOf(seed)
  let cards: { victim: Victim; phase: Round['phase'] }[] = []
  for (let number = 1; number <= rounds; number++) {
    if (cards.length === 0) {
      cards = VICTIMS.flatMap((victim) => [
        { victim, phase: 'start' as const },
        { victim, phase: 'running' as const },
      ])
    }
    const [card] = cards.splice(random(cards.length), 1)
    if (card === undefined) return
    yield { number, ...card, afterMs: random(Math.max(1, Math.round(startMs))) }
  }
}
