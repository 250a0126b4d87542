import { verifyPckChain, verifySignerChain } from './chain.ts'
import type { Collateral } from './collateral.ts'
import { pckChainText } from './genuine.ts'
import { parseQuote } from './quote.ts'
import { verifyCrl } from './revocation.ts'
import { verifyQeIdentity, verifyTcbInfo } from './signed-collateral.ts'
import type { TrustAnchor } from './trust-anchor.ts'

/**
 * The latest time, milliseconds since 1970, at which anything was issued that a quote and its
 * collateral are verified with: what the root's owner has signed says that this time has come. For
 * verifiers whose own clock is only a lower bound of the time. Signatures are verified, dates are not:
 * this is no reason to use any of it. Throws AttestError where something is not genuine.
 */
export function issueTime(
  quote: Uint8Array,
  collateral: Collateral,
  anchors: readonly TrustAnchor[],
): number {
  const chain = verifyPckChain(pckChainText(parseQuote(quote), collateral), anchors)
  const { anchor } = chain
  const rootCrl = verifyCrl(collateral.rootCaCrl, anchor.certificate, anchor.key, 'root CRL')
  const pckCrl = verifyCrl(collateral.pckCrl, chain.issuer, chain.issuerKey, 'PCK CRL')
  const signers = [
    verifySignerChain(collateral.tcbInfoIssuerChain, anchor),
    verifySignerChain(collateral.qeIdentityIssuerChain, anchor),
  ] as const
  const certificates = [anchor.certificate, ...chain.certificates]
  for (const signer of signers) certificates.push(...signer.certificates)
  return Math.max(
    ...certificates.map(({ notBefore }) => notBefore),
    rootCrl.thisUpdate,
    pckCrl.thisUpdate,
    verifyTcbInfo(collateral.tcbInfo, signers[0]).issueDate,
    verifyQeIdentity(collateral.qeIdentity, signers[1]).issueDate,
  )
}
