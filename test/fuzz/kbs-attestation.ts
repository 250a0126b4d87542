import { utf8 } from '#lib/bytes'
import { parseJson } from '#lib/json'
import { parseAttestation, parseAuthRequest, rcarReportData, teePublicKey } from '#protocol/kbs'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const KEY = {
  kty: 'EC',
  crv: 'P-256',
  alg: 'ECDH-ES+A256KW',
  x: 'b_A7lJJBzh2t1DUZ5pYOCoW0GmmgXDKBA6orzhWUyhY',
  y: 'PE91OlW_AdxT9sCwx-7ni0DG_30lqW4igrmJzvccFEo',
}
const ATTESTATION = {
  'init-data': { format: 'toml', body: 'version = "0.1.0"' },
  'runtime-data': { nonce: 'bm9uY2U=', 'tee-pubkey': KEY },
  'tee-evidence': { primary_evidence: { quote: 'AA==' }, additional_evidence: '' },
}

/** A body of `POST attest` or `POST auth`: a typed error, or a key on its curve and report data. */
export const target: FuzzTarget = {
  format: 'json',
  files: /\.bin$/,
  seeds: () => [
    utf8(JSON.stringify(ATTESTATION)),
    utf8('{"version":"0.4.0","tee":"sgx","extra-params":""}'),
  ],
  run: fuzzAttestation,
}

function fuzzAttestation(data: Uint8Array): void {
  const body = parseJson(data)
  if (typeof body === 'object' && body !== null && 'version' in body) {
    parseAuthRequest(body)
    return
  }
  const { nonce, 'tee-pubkey': teeKey } = parseAttestation(body)['runtime-data']
  teePublicKey(teeKey)
  if (rcarReportData({ nonce, teeKey, additionalEvidence: '' }).length !== 64) {
    throw new Error('report data has another size')
  }
}
