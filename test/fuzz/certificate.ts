import assert from 'node:assert/strict'
import { parsePckExtension, parseTrustAnchor } from '#lib/attest'
import { isCoded } from '#lib/errors'
import { importP256, p256Point, parseCertificate, splitPem } from '#lib/x509'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorBytes } from '../support/vector-file.ts'

const CASE = 'sgx/sgx-00606a000000-jun25-eval17'
const PCK_CHAIN = /-----BEGIN CERTIFICATE-----[\s\S]*-----END CERTIFICATE-----/

/** A certificate: a typed error, or dates that are numbers, and keys and extensions that read as typed. */
export const target: FuzzTarget = { format: 'x509', seeds, run: fuzzCertificate }

function* seeds(): Generator<Uint8Array> {
  yield* splitPem(vectorBytes(`${CASE}/tcbInfoIssuerChain.pem`), 'CERTIFICATE', 3)
  const quote = Buffer.from(vectorBytes(`${CASE}/quote.bin`)).toString('latin1')
  yield* splitPem(PCK_CHAIN.exec(quote)?.[0] ?? '', 'CERTIFICATE', 3)
}

function fuzzCertificate(data: Uint8Array): void {
  const certificate = parseCertificate(data)
  assert.ok(Number.isFinite(certificate.notBefore) && Number.isFinite(certificate.notAfter))
  assert.match(certificate.serial, /^[0-9a-f]+$/)
  // What follows may refuse, but only with a code: the certificate itself was accepted.
  for (const read of [
    () => parsePckExtension(certificate),
    () => importP256(p256Point(certificate.spki)),
    () => parseTrustAnchor(data),
  ]) {
    try {
      read()
    } catch (error) {
      if (!isCoded(error)) throw error
    }
  }
}
