// Loads the cases of test/vectors/sgx.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Collateral, decodeCrl, parseTrustAnchor, type VerifyQuoteInput } from '#lib/attest'
import { utf8 } from '#lib/bytes'

/** Where the cases lie. */
export const SGX_VECTORS: string = join(import.meta.dirname, '../vectors/sgx')

/** One judgement of a case. */
export interface ExpectedCheck {
  readonly name: string
  readonly at: string
  readonly expect: {
    readonly ok: boolean
    readonly status?: string
    readonly platformStatus?: string
    readonly qeStatus?: string
    readonly tcbDate?: string
    readonly tcbEvaluationDataNumber?: number
    readonly advisoryIDs?: readonly string[]
    readonly debug?: boolean
    readonly code?: string
    readonly anyOf?: readonly string[]
  }
}

/** A directory with `expected.json`. */
export interface SgxCase {
  readonly name: string
  readonly directory: string
  readonly expected: {
    readonly tee: string
    readonly fmspc: string
    readonly quoteVersion: number
    readonly certDataType: number
    readonly trailingBytes: number
    readonly report: Readonly<Record<string, unknown>>
    readonly checks: readonly ExpectedCheck[]
  }
  /** Input without a time. */
  readonly input: Omit<VerifyQuoteInput, 'now'>
}

/** A file of the vectors. */
export function readVector(...path: string[]): Uint8Array {
  return new Uint8Array(readFileSync(join(SGX_VECTORS, ...path)))
}

/** All directories with `expected.json`. */
export function sgxCases(): SgxCase[] {
  return readdirSync(SGX_VECTORS)
    .filter((name) => existsSync(join(SGX_VECTORS, name, 'expected.json')))
    .map(sgxCase)
}

/** One case by name. */
export function sgxCase(name: string): SgxCase {
  const directory = join(SGX_VECTORS, name)
  const expected = JSON.parse(readFileSync(join(directory, 'expected.json'), 'utf8'))
  const chain = existsSync(join(directory, 'pckCertChain.pem'))
  const collateral: Collateral = {
    tcbInfo: readVector(name, 'tcbInfo.json'),
    tcbInfoIssuerChain: readVector(name, 'tcbInfoIssuerChain.pem'),
    qeIdentity: readVector(name, 'qeIdentity.json'),
    qeIdentityIssuerChain: readVector(name, 'qeIdentityIssuerChain.pem'),
    pckCrl: decodeCrl(readVector(name, 'pckCrl.der')),
    rootCaCrl: decodeCrl(readVector(name, 'rootCaCrl.der')),
    ...(chain && { pckCertChain: readVector(name, 'pckCertChain.pem') }),
  }
  const anchors = [parseTrustAnchor(readVector(expected.trustAnchor))]
  return {
    name,
    directory,
    expected,
    input: { quote: readVector(name, 'quote.bin'), collateral, anchors },
  }
}

/** A case of `sim-examples`. */
export interface SimExample {
  readonly name: string
  readonly expect: { readonly ok: boolean; readonly status?: string; readonly code?: string }
  readonly input: VerifyQuoteInput
}

/** All cases of `sim-examples`. */
export function simExamples(): SimExample[] {
  return readdirSync(join(SGX_VECTORS, 'sim-examples')).map((file) => {
    const example = JSON.parse(readFileSync(join(SGX_VECTORS, 'sim-examples', file), 'utf8'))
    const binary = (name: string): Uint8Array =>
      new Uint8Array(Buffer.from(example[name], 'base64'))
    const input = {
      quote: binary('quoteBase64'),
      collateral: {
        tcbInfo: utf8(example.tcbInfoJson),
        tcbInfoIssuerChain: utf8(example.tcbInfoIssuerChainPem),
        qeIdentity: utf8(example.qeIdentityJson),
        qeIdentityIssuerChain: utf8(example.qeIdentityIssuerChainPem),
        pckCrl: binary('pckCrlDerBase64'),
        rootCaCrl: binary('rootCaCrlDerBase64'),
      },
      anchors: [parseTrustAnchor(binary('trustAnchorDerBase64'))],
      now: new Date(example.at),
    }
    return { name: example.name, expect: example.expect, input }
  })
}
