import type { KeyObject } from 'node:crypto'
import { equalBytes, FormatError, toHex } from '#lib/bytes'
import type { AttestCode } from '#lib/errors'
import {
  type Certificate,
  type Crl,
  ECDSA_WITH_SHA256,
  parseCrl,
  verifyDerSignature,
} from '#lib/x509'
import { AttestError, badSignature, malformed } from '../attest-error.ts'
import { Memo } from './memo.ts'

/** Apart, so that the one list of a quote does not take the place of the other as the latest. */
const rootLists = /* @__PURE__ */ new Memo<Crl>(32)
const pckLists = /* @__PURE__ */ new Memo<Crl>(32)

/**
 * Verifies a CRL against the authority that issued the certificates in question: format, issuer,
 * signature. Dates are not checked yet.
 */
export function verifyCrl(
  bytes: Uint8Array,
  issuer: Certificate,
  key: KeyObject,
  name: 'root CRL' | 'PCK CRL',
): Crl {
  const lists = name === 'root CRL' ? rootLists : pckLists
  return lists.get([bytes, issuer.raw], () => {
    const crl = parse(bytes, name)
    const { subjectKeyId } = issuer
    const sameKey = subjectKeyId !== undefined && equalBytes(crl.authorityKeyId, subjectKeyId)
    if (!equalBytes(crl.issuer.raw, issuer.subject.raw) || !sameKey) {
      throw new AttestError('CRL_ISSUER', `verifying the ${name}: another authority issued it`, {
        field: `${name} issuer`,
        expected: `${issuer.subject.commonName}, key ${toHex(subjectKeyId ?? new Uint8Array())}`,
        actual: `${crl.issuer.commonName}, key ${toHex(crl.authorityKeyId)}`,
      })
    }
    if (!verifyDerSignature(key, crl.tbs, crl.signature)) {
      throw badSignature('CRL_SIGNATURE', `verifying the ${name}: its signature is not good`, {
        field: `${name} signature`,
        signer: issuer.subject.commonName ?? 'its authority',
      })
    }
    return crl
  })
}

/** Checks thisUpdate <= now <= nextUpdate + grace; a CRL without nextUpdate is stale. */
export function requireCrlDates(crl: Crl, now: number, name: string, grace: number = 0): void {
  if (now < crl.thisUpdate) {
    const at = new Date(now).toISOString()
    throw new AttestError('CRL_NOT_YET_VALID', `checking the ${name}: it is ${at} now`, {
      field: `${name} thisUpdate`,
      expected: `after ${new Date(crl.thisUpdate).toISOString()}`,
      actual: at,
    })
  }
  if (crl.nextUpdate === undefined || now > crl.nextUpdate + grace) {
    const at = new Date(now).toISOString()
    const until = crl.nextUpdate === undefined ? undefined : new Date(crl.nextUpdate).toISOString()
    throw new AttestError('CRL_EXPIRED', `checking the ${name}: it is ${at} now`, {
      field: `${name} nextUpdate`,
      expected: until === undefined ? 'a nextUpdate' : `until ${until}`,
      actual: at,
    })
  }
}

/** Refuses a certificate that the list names. */
export function requireNotRevoked(crl: Crl, certificate: Certificate, code: AttestCode): void {
  if (!crl.revoked.has(certificate.serial)) return
  const name = certificate.subject.commonName ?? 'certificate'
  throw new AttestError(code, `checking ${name}: it is revoked`, {
    field: `${name} serial number`,
    expected: `not on the CRL of ${crl.issuer.commonName}`,
    actual: certificate.serial,
  })
}

function parse(bytes: Uint8Array, name: string): Crl {
  try {
    const crl = parseCrl(bytes)
    if (crl.signatureAlgorithm === ECDSA_WITH_SHA256) return crl
    const found = `is ${crl.signatureAlgorithm}`
    throw new FormatError('FORMAT_INVALID', 'signature algorithm', 0, found)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw malformed('CRL_FORMAT', `parsing the ${name}`, cause, {
      field: name,
      expected: 'DER of an X.509 CRL, version 2, with number and key id',
    })
  }
}
