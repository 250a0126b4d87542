import { randomOf } from './fuzz-mutations.ts'

/**
 * What can be killed: an enclave (init is the FUSE server too), what init runs beside the container, the supervisor,
 * the program in the container, or a process of a spare.
 */
export const VICTIMS = ['agent', 'init', 'helper', 'supervisor', 'container', 'spare'] as const

/** One of `VICTIMS`. */
export type Victim = (typeof VICTIMS)[number]

/** One kill. */
export interface Round {
  /** From 1. */
  readonly number: number
  readonly victim: Victim
  /** While the container starts, or once its program runs (and its spare waits, where there is one). */
  readonly phase: 'start' | 'running'
  /** Milliseconds after the command began; for phase `start`. */
  readonly afterMs: number
  readonly scratch: 'disk' | 'tmpfs'
  /** Whether enclaves are started ahead. */
  readonly pool: boolean
  /** Picks one where there are several. */
  readonly pick: number
}

/**
 * The rounds of a seed. Every victim dies in every phase that it has before any combination comes again;
 * moments of phase `start` are spread over the time that a start takes, scratch and pool are drawn.
 */
export function* planRounds(seed: number, rounds: number, startMs: number): Generator<Round> {
  const random = randomOf(seed)
  let cards: { victim: Victim; phase: Round['phase'] }[] = []
  for (let number = 1; number <= rounds; number++) {
    if (cards.length === 0) {
      cards = VICTIMS.flatMap((victim) => [
        // a spare waits for the next container: there is none before the first
        ...(victim === 'spare' ? [] : [{ victim, phase: 'start' as const }]),
        { victim, phase: 'running' as const },
      ])
    }
    const [card] = cards.splice(random(cards.length), 1)
    if (card === undefined) return
    const afterMs = random(Math.max(1, Math.round(startMs)))
    // only a scratch on the disk has somebody beside init once the program runs
    const scratch = random(2) === 0 || card.victim === 'helper' ? 'disk' : 'tmpfs'
    const pool = card.victim === 'spare' || random(3) === 0
    yield { number, ...card, afterMs, scratch, pool, pick: random(1000) }
  }
}
