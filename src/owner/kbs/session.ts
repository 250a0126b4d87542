import { randomBytes, randomUUID } from 'node:crypto'
import { toBase64 } from '#lib/bytes'
import { KbsError } from './kbs-error.ts'

/** Lifetime of a session, in milliseconds. */
export const SESSION_MS: number = 5 * 60_000

// Where too many are open the oldest goes: a flood has to be this fast within the second between
// an honest client's two requests to do harm, while refusing new ones would be harm at once.
const MAX_OPEN = 65_536
const MAX_ATTESTED = 16_384

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
    makeRoom(this.#attested, MAX_ATTESTED, now)
    this.#attested.set(session.id, { expires: session.expires, token })
  }

  /** The token of a session that was attested and has not expired. */
  token(id: string, now: number): string | undefined {
    const session = this.#attested.get(id)
    return session !== undefined && session.expires > now ? session.token : undefined
  }
}

// Sessions live equally long, so a map is nearly in the order of their end.
function makeRoom(
  sessions: Map<string, { readonly expires: number }>,
  max: number,
  now: number,
): void {
  for (const [id, { expires }] of sessions) {
    if (expires > now && sessions.size < max) return
    sessions.delete(id)
  }
}
