import { equalBytes } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { parseCertificate, parseCrl } from '#lib/x509'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { sgxCase } from '../support/sgx-vectors.ts'

/** A certificate or CRL: a typed error, or values whose signed part lies inside the input. */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /\.der$/,
  seeds: () => {
    const { collateral, anchors } = sgxCase('sgx-00606a000000-jun25-eval17').input
    return [collateral.pckCrl, ...anchors.map((anchor) => anchor.certificate.raw)]
  },
  run: fuzzX509,
}

function fuzzX509(data: Uint8Array): void {
  let parsed: { readonly tbs: Uint8Array; readonly signature: Uint8Array }
  try {
    parsed = parseCertificate(data)
  } catch (error) {
    if (!isCoded(error)) throw error
    parsed = parseCrl(data)
  }
  const at = parsed.tbs.byteOffset - data.byteOffset
  if (!equalBytes(data.subarray(at, at + parsed.tbs.length), parsed.tbs)) {
    throw new Error('the signed part is not a part of the input')
  }
}
