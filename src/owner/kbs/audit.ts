import { type KeyObject, sign, verify } from 'node:crypto'
import { concat, equalBytes, fromHex, toBase64, toHex, utf8 } from '#lib/bytes'
import { base64, canonicalize, integer, object, parseJson, string } from '#lib/json'
import { AUDIT_START, chainHash } from './store/audit-chain.ts'
import type { AuditEntry } from './store/store.ts'

const LABEL = 'enclave-cc/audit-head/1'

/**
 * A signed statement of how long the log was. Heads travel back with tokens and resources, so
 * that owners and enclaves hold them: a hash chain alone does not show that its tail was cut.
 */
export interface AuditHead {
  readonly broker: string
  readonly size: number
  /** Hash of the last entry, lower-case hex. */
  readonly hash: string
  /** RFC 3339 UTC. */
  readonly time: string
  /** Ed25519, base64. */
  readonly signature: string
}

/** Signs a head of the log. */
export function signHead(key: KeyObject, head: Omit<AuditHead, 'signature'>): AuditHead {
  const { broker, size, hash, time } = head
  return { broker, size, hash, time, signature: toBase64(sign(null, signedBytes(head), key)) }
}

/** Parses a head. Throws FormatError. */
export function parseHead(value: unknown): AuditHead {
  const head = object(value, 'audit head', ['broker', 'size', 'hash', 'time', 'signature'])
  base64(head.signature, 'audit head.signature', 64)
  return {
    broker: string(head.broker, 'audit head.broker', { max: 128 }),
    size: integer(head.size, 'audit head.size'),
    hash: string(head.hash, 'audit head.hash', { pattern: /^[0-9a-f]{64}$/ }),
    time: string(head.time, 'audit head.time', { max: 32 }),
    signature: head.signature as string,
  }
}

/** True if the key signed this head. */
export function headHolds(key: KeyObject, head: AuditHead): boolean {
  return verify(null, signedBytes(head), key, Buffer.from(head.signature, 'base64'))
}

/** Verdict of `verifyLog`. */
export interface AuditVerdict {
  readonly ok: boolean
  readonly entries: number
  /** Hash of the last good entry, lower-case hex. */
  readonly head: string
  /** Number of the first entry that does not follow from those before it. */
  readonly firstBad?: number
  readonly reason?: string
}

/**
 * Checks that the entries form one unbroken chain from the first, and that each of the `heads`
 * (kept by someone else) names an entry of it.
 */
export function verifyLog(
  entries: readonly Pick<AuditEntry, 'text' | 'hash'>[],
  heads: readonly AuditHead[],
): AuditVerdict {
  let hash = AUDIT_START
  for (const [i, entry] of entries.entries()) {
    const next = chainHash(hash, entry.text)
    const seq = i + 1
    if (!equalBytes(next, entry.hash) || !numbered(entry.text, seq)) {
      const reason = 'the entry does not follow from those before it'
      return { ok: false, entries: entries.length, head: toHex(hash), firstBad: seq, reason }
    }
    hash = next
  }
  for (const head of heads) {
    const found = head.size === 0 ? AUDIT_START : entries[head.size - 1]?.hash
    if (found === undefined || !equalBytes(found, fromHex(head.hash, 'head', 32))) {
      const reason =
        found === undefined
          ? `the log ends before entry ${head.size}, which a signed head names`
          : `entry ${head.size} is not the one that a signed head names`
      const firstBad = Math.min(head.size, entries.length + 1)
      return { ok: false, entries: entries.length, head: toHex(hash), firstBad, reason }
    }
  }
  return { ok: true, entries: entries.length, head: toHex(hash) }
}

function numbered(text: string, seq: number): boolean {
  try {
    return object(parseJson(text), 'entry').seq === seq
  } catch {
    return false
  }
}

function signedBytes(head: Omit<AuditHead, 'signature'>): Uint8Array {
  const { broker, size, hash, time } = head
  return concat(utf8(LABEL), Uint8Array.of(0), utf8(canonicalize({ broker, size, hash, time })))
}
