import { formatResourceUri, type ResourceName } from '#lib/initdata'
import { evaluate } from '#lib/policy'
import { ALLOWED, type Claim, type Verdict } from './decision.ts'
import { matchReference, type Reference } from './reference.ts'
import { isTrusted, type Root } from './root.ts'
import type { TokenFacts } from './token.ts'

/** The owner's data that a release looks at. */
export interface ReleaseBasis {
  readonly references: readonly Reference[]
  readonly roots: readonly Root[]
  /** Cedar text. */
  readonly policy: string
}

/**
 * May the enclave of this token read this resource? Measurement and root are looked up again, so
 * that removing a reference value or a root takes effect at once and not when tokens end. An enclave with a
 * namespace never leaves it, whatever the policy says.
 */
export function release(token: TokenFacts, resource: ResourceName, basis: ReleaseBasis): Verdict {
  const reference = matchReference(basis.references, token.enclave)
  const rooted = isTrusted(basis.roots, token.root, token.namespace)
  const sameNamespace = token.namespace === resource.namespace
  const subject = `${formatResourceUri(resource)} for enclave ${token.enclave.mrEnclave}`
  const claims: Claim[] = [
    {
      name: 'mrEnclave',
      expected: basis.references.slice(0, 16).map(({ name }) => name),
      actual: token.enclave.mrEnclave,
      ok: reference !== undefined,
    },
    {
      name: 'namespace',
      expected: [resource.namespace],
      actual: token.namespace,
      ok: sameNamespace,
    },
    {
      name: 'root',
      expected: basis.roots.slice(0, 16).map(({ id }) => id),
      actual: token.root.slice(0, 16),
      ok: rooted,
    },
    {
      name: 'status',
      expected: ['affirming'],
      actual: token.status,
      ok: token.status === 'affirming',
    },
  ]
  const deny = (code: string, policyIds: readonly string[] = []): Verdict => ({
    code,
    subject,
    claims,
    policyIds,
  })
  if (!rooted) return deny('RELEASE_ROOT')
  if (token.namespace !== '' && !sameNamespace) return deny('RELEASE_NAMESPACE')
  // A token without any reference was accepted by an appraise policy that does not need one.
  if (token.enclave.reference !== '' && reference === undefined) return deny('RELEASE_MEASUREMENT')
  const { platform, tcbStatus, status, namespace } = token
  const enclave = {
    ...token.enclave,
    program: reference?.program ?? '',
    reference: reference?.name ?? '',
  }
  const decision = evaluate('release', basis.policy, {
    action: 'read',
    enclave,
    resource,
    platform,
    tcbStatus,
    status,
    namespace,
  })
  if (decision.allowed) {
    const accepted = claims.map((c) =>
      c.ok ? c : { ...c, expected: decision.policyIds, ok: true },
    )
    return { code: ALLOWED, subject, claims: accepted, policyIds: decision.policyIds }
  }
  const code = sameNamespace ? 'RELEASE_DENIED' : 'RELEASE_NAMESPACE'
  return deny(decision.code ?? code, decision.policyIds)
}
