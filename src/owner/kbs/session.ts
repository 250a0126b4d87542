import { randomBytes, randomUUID } from 'node:crypto'
import { toBase64 } from '#lib/bytes'
import { KbsError } from './kbs-error.ts'

/** Lifetime of a session, in milliseconds. */
export const SESSION_MS: number = 5 * 60_000

const MAX_SESSIONS = 20_000

interface Session {
  readonly expires: number
  nonce: string | undefined
  token: string | undefined
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
 * Open RCAR sessions, in memory: they live for minutes, and a broker that restarts makes its
 * clients start again. At most 20000 at once.
 */
export class Sessions {
  readonly #sessions = new Map<string, Session>()

  get size(): number {
    return this.#sessions.size
  }

  /** Throws KbsError KBS_BUSY. */
  open(now: number): NewSession {
    this.#sweep(now)
    if (this.#sessions.size >= MAX_SESSIONS) {
      throw new KbsError('KBS_BUSY', 'opening a session: too many are open')
    }
    const id = randomUUID().replaceAll('-', '')
    const nonce = toBase64(randomBytes(32))
    const expires = now + SESSION_MS
    this.#sessions.set(id, { expires, nonce, token: undefined })
    return { id, nonce, expires }
  }

  /**
   * Takes the nonce out of a session, so that it is used once: before evidence is looked at, and
   * whatever comes of it. Throws KbsError KBS_SESSION_UNKNOWN, also where it was taken before.
   */
  takeNonce(id: string, now: number): string {
    const session = this.#live(id, now)
    const nonce = session?.nonce
    if (session === undefined || nonce === undefined) {
      const why = session === undefined ? 'there is no such session' : 'its nonce was used'
      throw new KbsError('KBS_SESSION_UNKNOWN', `attesting: ${why}`)
    }
    session.nonce = undefined
    return nonce
  }

  /** Remembers the token of an attested session. */
  attested(id: string, token: string): void {
    const session = this.#sessions.get(id)
    if (session !== undefined) session.token = token
  }

  /** The token of a session that was attested and has not expired. */
  token(id: string, now: number): string | undefined {
    return this.#live(id, now)?.token
  }

  #live(id: string, now: number): Session | undefined {
    const session = this.#sessions.get(id)
    return session !== undefined && session.expires > now ? session : undefined
  }

  // All sessions live equally long, so the map is in order of their end.
  #sweep(now: number): void {
    for (const [id, { expires }] of this.#sessions) {
      if (expires > now) return
      this.#sessions.delete(id)
    }
  }
}
