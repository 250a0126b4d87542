import { randomBytes, randomUUID } from 'node:crypto'
import { toBase64 } from '#lib/bytes'
import { KbsError } from './kbs-error.ts'

/** Lifetime of a session, in milliseconds. */
export const SESSION_MS: number = 5 * 60_000

// Where too many are open the oldest goes: a flood has to be this fast within the second between
// an honest client's two requests to do harm, while refusing new ones would be harm at once.
const MAX_OPEN = 65_536
const MAX_ATTESTED = 16_384
// A token holds the init-data, which whoever starts an enclave can make long.
const MAX_TOKENS = 128 * 1024 * 1024

interface Open {
  readonly expires: number
  readonly nonce: string
}

interface Attested {
  readonly expires: number
  readonly token: string
}

/** A new session as the client gets to know it. */
export interface NewSession {
  readonly id: string
  /** Base64 of 32 random bytes. */
  readonly nonce: string
  /** Milliseconds since 1970. */
  readonly expires: number
}

/**
 * RCAR sessions, in memory: they live for minutes, and a broker that restarts makes its clients
 * start again. A nonce leaves with the first attempt to use it.
 */
export class Sessions {
  readonly #open = new Map<string, Open>()
  readonly #attested = new Map<string, Attested>()
  /** Characters of the tokens of attested sessions. */
  #tokens = 0

  get size(): number {
    return this.#open.size + this.#attested.size
  }

  /** A fresh session. */
  open(now: number): NewSession {
    makeRoom(this.#open, MAX_OPEN, now)
    const id = randomUUID().replaceAll('-', '')
    const nonce = toBase64(randomBytes(32))
    const expires = now + SESSION_MS
    this.#open.set(id, { expires, nonce })
    return { id, nonce, expires }
  }

  /**
   * Takes the nonce out of a session, so that it is used once: before evidence is looked at, and
   * whatever comes of it. Throws KbsError KBS_SESSION_UNKNOWN, also where it was taken before.
   */
  take(id: string, now: number): NewSession {
    const session = this.#open.get(id)
    if (session === undefined || session.expires <= now) {
      const why = 'there is no such session, or its nonce was used'
      throw new KbsError('KBS_SESSION_UNKNOWN', `attesting: ${why}`)
    }
    this.#open.delete(id)
    return { id, ...session }
  }

  /** Remembers the token of a session that was attested, to the end of that session. */
  attested(session: NewSession, token: string, now: number): void {
    const forget = (old: Attested): void => {
      this.#tokens -= old.token.length
    }
    makeRoom(this.#attested, MAX_ATTESTED, now, forget)
    for (const [id, old] of this.#attested) {
      if (this.#tokens + token.length <= MAX_TOKENS) break
      this.#attested.delete(id)
      forget(old)
    }
    this.#attested.set(session.id, { expires: session.expires, token })
    this.#tokens += token.length
  }

  /** The token of a session that was attested and has not expired. */
  token(id: string, now: number): string | undefined {
    const session = this.#attested.get(id)
    return session !== undefined && session.expires > now ? session.token : undefined
  }
}

// Sessions live equally long, so a map is nearly in the order of their end.
function makeRoom<T extends { readonly expires: number }>(
  sessions: Map<string, T>,
  max: number,
  now: number,
  removed: (session: T) => void = () => {},
): void {
  for (const [id, session] of sessions) {
    if (session.expires > now && sessions.size < max) return
    sessions.delete(id)
    removed(session)
  }
}
