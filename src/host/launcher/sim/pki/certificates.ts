import type { AuthorityKeys } from '../authority-file.ts'
import type { PlatformFacts } from '../platform-facts.ts'
import type { Role } from './names.ts'
import { sgxExtension } from './sgx-extension.ts'
import type { Validity } from './tcb-info.ts'

const DAY = 86_400_000
const YEAR = 365 * DAY

/** Certificates count from yesterday, so that a verifier's clock may be a little behind. */
const BACKDATED = DAY

/** Lifetimes as Intel's (the root's is shorter than Intel's 31 years). */
const LIFETIMES: Readonly<Record<Role, number>> = {
  root: 30 * YEAR,
  pckCa: 15 * YEAR,
  tcbSigner: 7 * YEAR,
  pck: 7 * YEAR,
}

/** Certificates below the root: those that can be made anew without anybody being told. */
export type RenewableRole = Exclude<Role, 'root'>

/** Makes all certificates of a platform, DER. */
export async function issueCertificates(
  facts: PlatformFacts,
  keys: AuthorityKeys,
  now: number,
): Promise<Record<Role, Uint8Array>> {
  const { issueCertificate } = await import('./issuer.ts')
  const root = { role: 'root', key: keys.root } as const
  return {
    root: await issueCertificate({ subject: root, issuer: root, validity: validity('root', now) }),
    ...(await issueBelowRoot(facts, keys, now)),
  }
}

/** Makes those below the root, for the same keys, with serial numbers of their own. */
export async function issueBelowRoot(
  facts: PlatformFacts,
  keys: AuthorityKeys,
  now: number,
): Promise<Record<RenewableRole, Uint8Array>> {
  const { issueCertificate } = await import('./issuer.ts')
  const issue = (
    role: RenewableRole,
    by: 'root' | 'pckCa',
    more: { readonly sgxExtension?: Uint8Array<ArrayBuffer> } = {},
  ): Promise<Uint8Array> =>
    issueCertificate({
      subject: { role, key: keys[role] },
      issuer: { role: by, key: keys[by] },
      validity: validity(role, now),
      ...more,
    })
  return {
    pckCa: await issue('pckCa', 'root'),
    tcbSigner: await issue('tcbSigner', 'root'),
    pck: await issue('pck', 'pckCa', { sgxExtension: sgxExtension(facts) }),
  }
}

function validity(role: Role, now: number): Validity {
  const from = now - BACKDATED
  return { from, until: from + LIFETIMES[role] }
}
