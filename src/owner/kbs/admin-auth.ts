import { createHash } from 'node:crypto'
import { toHex } from '#lib/bytes'
import { type JsonObject, oneOf, optional, string } from '#lib/json'
import type { Broker } from './broker.ts'
import { KbsError } from './kbs-error.ts'
import type { BrokerRequest } from './request.ts'

/** What an administrator may do: `admin` everything, `auditor` reads all but resource values. */
export const ADMIN_ROLES = ['admin', 'auditor'] as const

/** A value of `ADMIN_ROLES`. */
export type AdminRole = (typeof ADMIN_ROLES)[number]

/** Who sent an administrative request. */
export interface Administrator {
  /** Name of the token in the audit log: the first digits of its hash. */
  readonly name: string
  readonly role: AdminRole
}

/** The name under which an admin token is stored: SHA-256, so that the store gives none away. */
export function adminTokenId(token: string): string {
  return toHex(createHash('sha256').update(token).digest())
}

/** What the store keeps of an admin token. */
export function adminTokenDocument(role: AdminRole, expiresAt: string | undefined): JsonObject {
  return { role, ...(expiresAt === undefined ? {} : { expiresAt }) }
}

/**
 * Who sent this request. Tokens are random, so a look-up by hash needs no constant time.
 * Throws KbsError KBS_ADMIN_DENIED if the token is not known, has expired, or `write` is more
 * than its role may.
 */
export async function administrator(
  broker: Broker,
  request: Pick<BrokerRequest, 'authorization'>,
  write: boolean,
): Promise<Administrator> {
  const denied = (why: string): KbsError =>
    new KbsError('KBS_ADMIN_DENIED', `admin access denied for endpoint admin: ${why}`)
  const token = /^Bearer ([A-Za-z0-9_-]{1,256})$/i.exec(request.authorization ?? '')?.[1]
  if (token === undefined) throw denied('there is no admin token')
  const id = adminTokenId(token)
  const document = await broker.parts.store.document('admin-token', id)
  if (document === undefined) throw denied('the token is not known')
  const role = oneOf(document.role, 'role', ADMIN_ROLES)
  const expiresAt = optional(document.expiresAt, (v) => Date.parse(string(v, 'expiresAt')))
  if (expiresAt !== undefined && !(expiresAt > broker.parts.now())) {
    throw denied('the token has expired')
  }
  if (write && role !== 'admin') throw denied(`the role ${role} may not do this`)
  return { name: id.slice(0, 12), role }
}
