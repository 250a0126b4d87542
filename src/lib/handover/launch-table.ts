import { toHex } from '#lib/bytes'
import { HandoverError, refused } from './handover-error.ts'
import { type Hello, SESSION_LENGTH } from './message.ts'
import type { Transcript } from './transcript.ts'
import type { KeyPair } from './x25519.ts'

/** Life of a launch: only NEW takes a handover; SPENT waits for M5; the rest is final. */
export type LaunchState = 'NEW' | 'SPENT' | 'SERVED' | 'LOST' | 'EXPIRED'

/** What of a launch is told to init in the offer. */
export interface LaunchNames {
  readonly podId: string
  readonly containerId: string
  /** `sha256:…` of the image's manifest. */
  readonly manifestDigest: string
}

/** A launch that ended without being served. */
export interface EndedLaunch {
  readonly containerId: string
  readonly state: 'LOST' | 'EXPIRED'
}

/** A launch and the keys that it still holds. */
export interface Launch {
  readonly id: string
  readonly offer: LaunchNames
  state: LaunchState
  /** Milliseconds of the responder's clock. */
  deadline: number
  /** Encoded payload with the keys, while NEW. */
  plain: Uint8Array | undefined
  /** What was answered, while SPENT. */
  answer: Answer | undefined
  /** Tags of its sessions: as many as may be half open, for only a NEW launch gets one. */
  readonly sessions: string[]
}

/** The agent's M4, which a retry gets byte for byte. */
export interface Answer {
  readonly t3: Transcript
  /** M4 as it went out, never a second sealing. */
  readonly message: Uint8Array
  readonly confirmed: Transcript
  readonly receive: Uint8Array
}

/** One M1 that was answered. */
export interface Session {
  readonly launch: Launch
  readonly t2: Transcript
  /** What M3 is judged by; gone when the launch is no longer NEW. */
  open: OpenSession | undefined
}

/** What a session holds between M2 and M3. */
export interface OpenSession {
  readonly hello: Hello
  readonly pair: KeyPair
  /** Our own evidence and what it is over. */
  readonly own: Uint8Array
  readonly ownData: Uint8Array
}

/** Launches that have ended and are still known; the oldest is forgotten, and unknown from then on. */
const MAX_ENDED = 1024

/** Where a launch goes when its time is over; final states stay. */
const OVER_TIME: Readonly<Record<LaunchState, 'LOST' | 'EXPIRED' | undefined>> = {
  NEW: 'EXPIRED',
  SPENT: 'LOST',
  SERVED: undefined,
  LOST: undefined,
  EXPIRED: undefined,
}

/**
 * Launches and their sessions. What has ended keeps its id and no keys, so that a replay finds it
 * spent; how many of those there are is bounded.
 */
export class LaunchTable {
  readonly #launches = new Map<string, Launch>()
  readonly #sessions = new Map<string, Session>()
  /** Ids of launches that have ended, oldest first. */
  readonly #over: string[] = []

  /** Launches and sessions that are known, of any state. */
  get size(): number {
    return this.#launches.size + this.#sessions.size
  }

  /** Sessions between M2 and M3. */
  get halfOpen(): number {
    let count = 0
    for (const { open } of this.#sessions.values()) if (open !== undefined) count++
    return count
  }

  add(id: Uint8Array, launch: Pick<Launch, 'offer' | 'deadline' | 'plain'>): void {
    const name = toHex(id)
    this.#launches.set(name, {
      id: name,
      ...launch,
      state: 'NEW',
      answer: undefined,
      sessions: [],
    })
  }

  launch(id: Uint8Array): Launch | undefined {
    return this.#launches.get(toHex(id))
  }

  /** The tag routes and proves nothing: it is a part of T2. */
  open(launch: Launch, t2: Transcript, open: OpenSession): void {
    const tag = toHex(t2.subarray(0, SESSION_LENGTH))
    launch.sessions.push(tag)
    this.#sessions.set(tag, { launch, t2, open })
  }

  /** Throws HandoverError. */
  session(tag: Uint8Array): Session {
    const session = this.#sessions.get(toHex(tag))
    if (session === undefined) throw refused('no such session')
    return session
  }

  /** NEW → SPENT: the keys are the caller's from here on, and no session takes an M3 any more. */
  spend(launch: Launch, deadline: number): Uint8Array {
    const { plain } = launch
    launch.state = 'SPENT'
    launch.deadline = deadline
    launch.plain = undefined
    this.#closeSessions(launch)
    return plain ?? new Uint8Array(0)
  }

  /** To a final state: keys are wiped. */
  end(launch: Launch, state: 'SERVED' | 'LOST' | 'EXPIRED'): void {
    wipe(launch)
    launch.state = state
    this.#closeSessions(launch)
    this.#over.push(launch.id)
    const oldest = this.#over.length > MAX_ENDED ? this.#over.shift() : undefined
    if (oldest !== undefined) this.#forget(oldest)
  }

  /** Ends what is over time at `now`, and says what that was. */
  expire(now: number): EndedLaunch[] {
    const ended: EndedLaunch[] = []
    for (const launch of this.#launches.values()) {
      if (now < launch.deadline) continue
      const state = OVER_TIME[launch.state]
      if (state === undefined) continue
      this.end(launch, state)
      ended.push({ containerId: launch.offer.containerId, state })
    }
    return ended
  }

  /** Wipes all keys and forgets everything. */
  clear(): void {
    for (const launch of this.#launches.values()) {
      wipe(launch)
      launch.state = 'EXPIRED'
    }
    this.#launches.clear()
    this.#sessions.clear()
    this.#over.length = 0
  }

  #closeSessions({ sessions }: Launch): void {
    for (const tag of sessions) {
      const session = this.#sessions.get(tag)
      if (session !== undefined) session.open = undefined
    }
  }

  #forget(id: string): void {
    for (const tag of this.#launches.get(id)?.sessions ?? []) this.#sessions.delete(tag)
    this.#launches.delete(id)
  }
}

/** Why a launch that is no longer NEW takes nothing. */
export function unusable(state: LaunchState): HandoverError {
  return state === 'EXPIRED'
    ? new HandoverError('HANDOVER_EXPIRED', 'handing over: the launch waited too long for its init')
    : new HandoverError('HANDOVER_SPENT', 'handing over: the launch was already handed over')
}

function wipe(launch: Launch): void {
  launch.plain?.fill(0)
  launch.answer?.receive.fill(0)
  launch.plain = undefined
  launch.answer = undefined
}
