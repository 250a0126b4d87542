import { DerReader } from '#lib/asn1'
import { FormatError, fromUtf8, toBase64, utf8 } from '#lib/bytes'
import { base64, object, optional, parseJson, string } from '#lib/json'
import { encodePem, MAX_CRL_SIZE, splitPem } from '#lib/x509'
import { malformed } from '../attest-error.ts'

/** The largest set that is looked at, as JSON. */
const MAX_COLLATERAL_SIZE = 4 * 1024 * 1024

/** Everything a verifier needs beside the quote and its own trust anchor (docs/formats/quote.md, Collateral). */
export interface Collateral {
  /** Body as served: `{"tcbInfo":…,"signature":…}`. */
  readonly tcbInfo: Uint8Array
  /** PEM, signer and root. */
  readonly tcbInfoIssuerChain: Uint8Array
  /** Body as served: `{"enclaveIdentity":…,"signature":…}`. */
  readonly qeIdentity: Uint8Array
  /** PEM, signer and root. */
  readonly qeIdentityIssuerChain: Uint8Array
  /** DER, of the authority that issued the PCK certificate. */
  readonly pckCrl: Uint8Array
  /** DER, of the root. */
  readonly rootCaCrl: Uint8Array
  /** PEM; only for quotes that do not carry their chain. */
  readonly pckCertChain?: Uint8Array
}

const MEMBERS = [
  'tcbInfo',
  'tcbInfoIssuerChain',
  'qeIdentity',
  'qeIdentityIssuerChain',
  'pckCrl',
  'rootCaCrl',
  'pckCertChain',
] as const

/**
 * Parses the JSON form, as it travels beside a simulated quote: documents and PEM as text, CRLs
 * as base64 of DER. Takes bytes, or the value where a larger document was parsed. The result is
 * as untrusted as its source. Throws AttestError COLLATERAL_FORMAT.
 */
export function parseCollateral(source: unknown): Collateral {
  try {
    const value =
      source instanceof Uint8Array
        ? parseJson(source, { maxBytes: MAX_COLLATERAL_SIZE, name: 'collateral' })
        : source
    const members = object(value, 'collateral', MEMBERS)
    const text = (name: (typeof MEMBERS)[number]): Uint8Array =>
      utf8(string(members[name], `collateral.${name}`))
    const pckCertChain = optional(members.pckCertChain, () => text('pckCertChain'))
    return {
      tcbInfo: text('tcbInfo'),
      tcbInfoIssuerChain: text('tcbInfoIssuerChain'),
      qeIdentity: text('qeIdentity'),
      qeIdentityIssuerChain: text('qeIdentityIssuerChain'),
      pckCrl: base64(members.pckCrl, 'collateral.pckCrl'),
      rootCaCrl: base64(members.rootCaCrl, 'collateral.rootCaCrl'),
      ...(pckCertChain && { pckCertChain }),
    }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw malformed('COLLATERAL_FORMAT', 'parsing the collateral', cause, {
      expected: 'a JSON object of TCB info, QE identity, their chains and both CRLs',
    })
  }
}

/** The JSON form of `parseCollateral`, as a plain object. */
export function collateralObject(collateral: Collateral): Record<string, string> {
  return {
    tcbInfo: fromUtf8(collateral.tcbInfo, 'tcbInfo'),
    tcbInfoIssuerChain: fromUtf8(collateral.tcbInfoIssuerChain, 'tcbInfoIssuerChain'),
    qeIdentity: fromUtf8(collateral.qeIdentity, 'qeIdentity'),
    qeIdentityIssuerChain: fromUtf8(collateral.qeIdentityIssuerChain, 'qeIdentityIssuerChain'),
    pckCrl: toBase64(collateral.pckCrl),
    rootCaCrl: toBase64(collateral.rootCaCrl),
    ...(collateral.pckCertChain && {
      pckCertChain: fromUtf8(collateral.pckCertChain, 'pckCertChain'),
    }),
  }
}

/**
 * Brings a CRL to DER from what services and files hold: DER, PEM, or DER as hexadecimal text
 * (a PCCS does that), each perhaps with the NUL of a C string. What is none of these is
 * returned as it is, for the verifier to refuse. Throws FormatError for broken PEM or DER.
 */
export function decodeCrl(bytes: Uint8Array): Uint8Array {
  if (bytes.length > 2 * MAX_CRL_SIZE) return bytes
  if (bytes[0] === 0x30) return derPart(bytes)
  const text = String.fromCharCode(...bytes.subarray(0, 11))
  if (text === '-----BEGIN ') {
    const [der] = splitPem(withoutNul(bytes), 'X509 CRL', 1)
    return der ?? bytes
  }
  const digits = Buffer.from(withoutNul(bytes)).toString('latin1').trim()
  return /^30(?:[0-9a-fA-F]{2})+$/.test(digits) ? new Uint8Array(Buffer.from(digits, 'hex')) : bytes
}

/** DER may end in a zero octet of its own: only its length tells a NUL after it apart. */
function derPart(bytes: Uint8Array): Uint8Array {
  const { raw } = new DerReader(bytes).value('CRL')
  return raw.length + 1 === bytes.length && bytes.at(-1) === 0 ? raw : bytes
}

function withoutNul(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes
}

/** A chain as PEM, in the order given. */
export function encodeChain(...certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => encodePem(der, 'CERTIFICATE')).join('')
}
