import { derBoolean, derEnumerated, derInteger, derOctets, derOid, derSequence } from '#lib/asn1'
import { FMSPC, PCE_ID, type PlatformFacts } from '../platform-facts.ts'

const BASE = '1.2.840.113741.1.13.1'

/** SGX type "Scalable": a server whose machine is registered, certified by the Platform CA. */
const SGX_TYPE_SCALABLE = 1

/**
 * The SGX extension of a PCK certificate under the Platform CA, DER: seven pairs (SGX PCK
 * Certificate and CRL Profile, section 1.3.5).
 */
export function sgxExtension(facts: PlatformFacts): Uint8Array<ArrayBuffer> {
  const components = [...facts.components].map((svn, i) => pair(`2.${i + 1}`, derInteger(svn)))
  return derSequence(
    pair('1', derOctets(facts.ppid)),
    pair(
      '2',
      derSequence(
        ...components,
        pair('2.17', derInteger(facts.pceSvn)),
        pair('2.18', derOctets(facts.components)),
      ),
    ),
    pair('3', derOctets(PCE_ID)),
    pair('4', derOctets(FMSPC)),
    pair('5', derEnumerated(SGX_TYPE_SCALABLE)),
    pair('6', derOctets(facts.platformInstanceId)),
    pair(
      '7',
      derSequence(
        pair('7.1', derBoolean(false)),
        pair('7.2', derBoolean(false)),
        pair('7.3', derBoolean(true)),
      ),
    ),
  )
}

function pair(suffix: string, value: Uint8Array): Uint8Array<ArrayBuffer> {
  return derSequence(derOid(`${BASE}.${suffix}`), value)
}
