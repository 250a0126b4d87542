import { createHash } from 'node:crypto'
import { FLAGS } from '#lib/attest'
import { type EnclaveIdentity, XFRM } from './secs.ts'

/** Security version of the simulated quoting enclave, the UpToDate one of its identity document. */
export const QE_ISVSVN = 8

export const QE_ISVPRODID = 1

/** Who "signed" the quoting enclave: a value of our own, never Intel's. */
export const QE_MRSIGNER: Uint8Array = label('enclave-cc simulated quoting enclave signer')

/** Identity of the simulated quoting enclave: production, with the provisioning attribute. */
export function quotingEnclaveIdentity(): EnclaveIdentity {
  return {
    mrEnclave: label(`enclave-cc simulated quoting enclave ${QE_ISVSVN}`),
    mrSigner: QE_MRSIGNER,
    flags: FLAGS.INIT | FLAGS.MODE64BIT | FLAGS.PROVISIONKEY,
    xfrm: XFRM,
    miscSelect: 0,
    configId: new Uint8Array(64),
    configSvn: 0,
    isvProdId: QE_ISVPRODID,
    isvSvn: QE_ISVSVN,
    isvFamilyId: new Uint8Array(16),
    isvExtProdId: new Uint8Array(16),
  }
}

function label(text: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(text).digest())
}
