import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concat, fromUtf8, toHex, utf8 } from '#lib/bytes'
import { importP256, verifyRawSignature } from '#lib/x509'
import { readVector, sgxCase, sgxCases, simExamples } from '../../../../test/support/sgx-vectors.ts'
import { parseCertificationData } from './certification-data.ts'
import { requireChainDates, verifySignerChain } from './chain.ts'
import { sgxClaims } from './claims.ts'
import { type Collateral, decodeCrl } from './collateral.ts'
import { intelSgxRoot } from './intel-root.ts'
import { encodeQuote, parseQuote } from './quote.ts'
import { requireCrlDates, verifyCrl } from './revocation.ts'
import { verifyQeIdentity, verifyTcbInfo } from './signed-collateral.ts'
import { parseTrustAnchor } from './trust-anchor.ts'
import { verifyQuote } from './verify.ts'

const SGX_CASES = sgxCases().filter((item) => item.expected.tee === 'SGX')
const PROCESSOR = sgxCase('sgx-00a067110000-jun25')
const NOW = new Date('2025-07-04T10:28:44Z')

for (const { name, expected, input } of SGX_CASES) {
  for (const { name: when, at, expect } of expected.checks) {
    test(`${name} ${when}: ${expect.status ?? expect.anyOf?.join(' or ')}`, () => {
      const result = verifyQuote({ ...input, now: new Date(at) })
      assert.equal(result.verified, expect.ok, `${result.message}`)
      if (!expect.ok) {
        assert.ok(expect.anyOf?.includes(`${result.code}`), `${result.code}`)
        return
      }
      assert.equal(result.status, expect.status)
      assert.equal(result.platformStatus, expect.platformStatus)
      assert.equal(result.qeStatus, expect.qeStatus)
      assert.equal(result.evidence?.tcb.date, Date.parse(expect.tcbDate ?? ''))
      assert.equal(result.tcbEvaluationDataNumber, expect.tcbEvaluationDataNumber)
      assert.deepEqual(result.advisoryIds, expect.advisoryIDs)
      assert.equal(result.debug, expect.debug)
      assert.equal(result.fmspc, expected.fmspc)
      const { report } = expected
      assert.equal(result.mrEnclave, report.mrenclave)
      assert.equal(result.mrSigner, report.mrsigner)
      assert.equal(result.isvProdId, report.isvProdId)
      assert.equal(result.isvSvn, report.isvSvn)
      assert.equal(sgxClaims(result).report_data, report.reportData)
      // Debug enclaves are genuine, yet refused unless the policy says otherwise.
      if (expect.debug === true) assert.equal(result.code, 'DEBUG_NOT_ALLOWED')
    })
  }
}

test('a TDX quote is refused by name where enclaves are asked for', () => {
  const { input } = sgxCase('tdx-b0c06f000000-jun25')
  assert.equal(verifyQuote({ ...input, now: NOW }).code, 'QUOTE_TEE_TYPE')
})

test('the sample PKI of Intel is refused under the real root', () => {
  const { input } = sgxCase('testroot-sgx-tcbv2')
  const now = new Date('2024-01-01T00:00:00Z')
  const result = verifyQuote({ ...input, anchors: [intelSgxRoot()], now })
  assert.equal(result.code, 'ROOT_UNTRUSTED')
})

for (const { name, expect, input } of simExamples()) {
  test(`sim example ${name}: ${expect.status ?? expect.code}`, () => {
    const tcbStatuses = ['UpToDate', 'OutOfDateConfigurationNeeded'] as const
    const result = verifyQuote({ ...input, policy: { tcbStatuses } })
    assert.equal(result.accepted, expect.ok, `${result.message}`)
    assert.equal(result.code, expect.code)
    if (expect.ok) assert.equal(result.status, expect.status)
  })
}

test('sim example debug-enclave is accepted where the policy allows debug', () => {
  const example = simExamples().find(({ name }) => name === 'debug-enclave')
  assert.ok(example)
  const result = verifyQuote({ ...example.input, policy: { allowDebug: true } })
  assert.equal(result.accepted, true)
  assert.equal(result.status, 'UpToDate')
})

test('the Occlum quote gives the claims that CoCo gives', () => {
  const { input } = sgxCase('sgx-00606a000000-occlum-debug-aug25')
  const claims = sgxClaims(verifyQuote({ ...input, now: new Date('2025-08-30T00:00:00Z') }))
  assert.match(String(claims.body.mr_enclave), /^8f173e46/)
  assert.equal(claims.platform_instance_id, '7a3a6941065cd5060bd93d3db2cfc0c8')
  assert.equal(claims.body['attributes.flags'], '0700000000000000')
  assert.equal(claims.platform, 'sgx')
  assert.equal(
    claims.root_key_id,
    '46e403bd34f05a3f2817ab9badcaacc7ffc98e0f261008cd30dae936cace18d5dcf58eef31463613de1570d516200993',
  )
})

test('the root that is built in is the production root', () => {
  const root = intelSgxRoot()
  assert.equal(root.platform, 'sgx')
  assert.deepEqual(root.certificate.raw, readVector('intel-sgx-root-ca.der'))
  const fromPem = parseTrustAnchor(readVector('intel-sgx-root-ca.pem'))
  assert.deepEqual(fromPem.certificate.raw, root.certificate.raw)
})

test('parseTrustAnchor() refuses what is no root', () => {
  const chain = fromUtf8(readVector(PROCESSOR.name, 'tcbInfoIssuerChain.pem'), 'chain')
  const [signer = ''] = chain.split(/(?<=-----END CERTIFICATE-----\n)/)
  for (const bytes of [utf8(signer), utf8(chain), utf8('x'), new Uint8Array()]) {
    assert.throws(() => parseTrustAnchor(bytes), { code: 'TRUST_ANCHOR_FORMAT' })
  }
})

test('every real version 3 quote is encoded as it was', () => {
  const quotes = [
    ...SGX_CASES.map(({ input }) => input.quote),
    readVector('parse-only', 'quote_raw_tcb.bin'),
    readVector('parse-only', 'quote_pck_cert_chain.bin'),
  ]
  for (const quote of quotes) assert.deepEqual(encodeQuote(parseQuote(quote)), quote)
})

test('a real chain in the order leaf, root, intermediate with the older root is verified', () => {
  const quote = readVector('parse-only', 'quote_pck_cert_chain.bin')
  const result = verifyQuote({ ...PROCESSOR.input, quote, now: NOW })
  const chain = result.checks.find((check) => check.name === 'pck-chain')
  assert.deepEqual(chain, { name: 'pck-chain', ok: true, actual: 'processor CA, sgx root' })
  assert.equal(result.code, 'TCB_INFO_MISMATCH')
})

test('parseCertificationData() reads what names a PCK certificate', () => {
  const raw = parseCertificationData(parseQuote(readVector('parse-only', 'quote_raw_tcb.bin')))
  assert.equal(raw.kind, 'ppid')
  if (raw.kind !== 'ppid') return
  assert.equal(raw.encryption, 'rsa-3072')
  assert.equal(raw.ppid.length, 384)
  assert.equal(toHex(raw.pceId ?? new Uint8Array()), '0000')
  const short = parseCertificationData(parseQuote(sgxCase('testroot-sgx-tcbv2').input.quote))
  assert.ok(short.kind === 'ppid' && short.encryption === 'none' && short.pceId === undefined)
  assert.equal(parseCertificationData(parseQuote(PROCESSOR.input.quote)).kind, 'pck-chain')
  const data = { certificationType: 2, certificationData: new Uint8Array(275) }
  assert.throws(() => parseCertificationData(data), { code: 'FORMAT_INVALID' })
  assert.equal(parseCertificationData({ ...data, certificationType: 7 }).kind, 'unknown')
})

test('the signature of a real quote is good, that of its corrupted copy is not', () => {
  for (const [file, good] of [
    ['quote_pck_cert_chain.bin', true],
    ['quote_pck_cert_chain_corrupted.bin', false],
  ] as const) {
    const { attestationKey, signed, signature } = parseQuote(readVector('parse-only', file))
    assert.equal(verifyRawSignature(importP256(attestationKey), signed, signature), good)
  }
})

test('every truncation of a quote is refused as no quote', () => {
  const { quote } = PROCESSOR.input
  for (let length = 0; length < quote.length; length++) {
    const result = verifyQuote({ ...PROCESSOR.input, quote: quote.subarray(0, length), now: NOW })
    assert.equal(result.code, 'QUOTE_FORMAT', `${length} bytes`)
    assert.equal(result.verified, false)
  }
})

test('every truncation of a CRL, of TCB info and of QE identity is refused', () => {
  for (const [member, code] of [
    ['pckCrl', 'CRL_FORMAT'],
    ['rootCaCrl', 'CRL_FORMAT'],
    ['tcbInfo', 'TCB_INFO_FORMAT'],
    ['qeIdentity', 'QE_IDENTITY_FORMAT'],
  ] as const) {
    const whole = PROCESSOR.input.collateral[member]
    for (let length = 0; length < whole.length; length += member === 'tcbInfo' ? 7 : 1) {
      const collateral = { ...PROCESSOR.input.collateral, [member]: whole.subarray(0, length) }
      const result = verifyQuote({ ...PROCESSOR.input, collateral, now: NOW })
      assert.equal(result.code, code, `${member}, ${length} bytes`)
    }
  }
})

/** One bit of each byte, or with SLOW=1 every one. */
function bitsOf(at: number): readonly number[] {
  return process.env.SLOW === '1' ? [0, 1, 2, 3, 4, 5, 6, 7] : [at % 8]
}

test('a flipped bit in any byte of a quote refuses it', () => {
  const { quote } = PROCESSOR.input
  const copy = quote.slice()
  for (let at = 0; at < quote.length; at++) {
    // The NUL after the chain is signed by nobody and may be a space as well.
    if (at === quote.length - 1) continue
    for (const bit of bitsOf(at)) {
      copy[at] = (quote[at] ?? 0) ^ (1 << bit)
      const result = verifyQuote({ ...PROCESSOR.input, quote: copy, now: NOW })
      assert.equal(result.verified, false, `byte ${at}, bit ${bit}`)
    }
    copy[at] = quote[at] ?? 0
  }
})

test('a flipped bit in any byte of the collateral refuses it', () => {
  for (const member of ['pckCrl', 'rootCaCrl', 'tcbInfo', 'qeIdentity'] as const) {
    const whole = PROCESSOR.input.collateral[member]
    for (let at = 0; at < whole.length; at++) {
      const copy = whole.with(at, (whole[at] ?? 0) ^ (1 << (at % 8)))
      // The case of a hexadecimal digit of the signature is not signed and means nothing.
      if (toHex(copy) !== toHex(whole) && sameSignature(whole, copy)) continue
      const collateral: Collateral = { ...PROCESSOR.input.collateral, [member]: copy }
      const result = verifyQuote({ ...PROCESSOR.input, collateral, now: NOW })
      assert.equal(result.verified, false, `${member}, byte ${at}`)
    }
  }
})

test('collateral of another kind of platform is refused', () => {
  const { collateral } = sgxCase('sgx-00606a000000-jun25-eval17').input
  const now = new Date('2025-06-27T22:51:32Z')
  const { input } = PROCESSOR
  const foreign = { ...input.collateral, tcbInfo: collateral.tcbInfo }
  assert.equal(verifyQuote({ ...input, collateral: foreign, now }).code, 'TCB_INFO_MISMATCH')
  const crl = { ...input.collateral, pckCrl: collateral.pckCrl }
  assert.equal(verifyQuote({ ...input, collateral: crl, now }).code, 'CRL_ISSUER')
})

test('documents and CRLs of the real service verify under the real root', () => {
  const now = Date.parse('2025-06-01T00:00:00Z')
  const root = intelSgxRoot()
  const signer = (name: string) => {
    const chain = verifySignerChain(readVector('pcs-responses', `${name}.issuer-chain.pem`), root)
    requireChainDates(chain, now)
    return chain
  }
  for (const [name, number] of [
    ['sgx-tcb-00906ED50000-standard', 17],
    ['sgx-tcb-00906ED50000-early', 19],
  ] as const) {
    const info = verifyTcbInfo(readVector('pcs-responses', `${name}.json`), signer(name))
    assert.equal(info.tcbEvaluationDataNumber, number)
  }
  for (const [name, id] of [
    ['sgx-qe-identity', 'QE'],
    ['sgx-qve-identity', 'QVE'],
    ['tdx-qe-identity', 'TD_QE'],
  ] as const) {
    const identity = verifyQeIdentity(readVector('pcs-responses', `${name}.json`), signer(name))
    assert.equal(identity.id, id)
  }
})

test('decodeCrl() reads DER, PEM, hexadecimal text and the NUL of C strings', () => {
  const der = readVector('pcs-responses', 'pckcrl-processor.der')
  assert.deepEqual(decodeCrl(der), der)
  assert.deepEqual(decodeCrl(concat(der, new Uint8Array(1))), der)
  assert.deepEqual(decodeCrl(utf8(toHex(der))), der)
  assert.deepEqual(decodeCrl(utf8(`${toHex(der).toUpperCase()}\n\0`)), der)
  const [platform, issuer] = [
    decodeCrl(readVector('pcs-responses', 'pckcrl-platform.pem')),
    sgxCase('sgx-00606a000000-jun25-eval17').input.collateral.pckCrl,
  ]
  assert.equal(platform[0], 0x30)
  assert.equal(issuer[0], 0x30)
  assert.throws(
    () => verifyCrl(platform, intelSgxRoot().certificate, intelSgxRoot().key, 'PCK CRL'),
    {
      code: 'CRL_ISSUER',
    },
  )
  // What is none of these stays as it is; a DER that ends in zero is not cut.
  assert.deepEqual(decodeCrl(utf8('junk')), utf8('junk'))
  const zero = der.slice()
  zero[zero.length - 1] = 0
  assert.deepEqual(decodeCrl(zero), zero)
})

test('requireCrlDates() wants a nextUpdate', () => {
  const { anchors, collateral } = PROCESSOR.input
  const [anchor] = anchors
  assert.ok(anchor)
  const crl = verifyCrl(collateral.rootCaCrl, anchor.certificate, anchor.key, 'root CRL')
  requireCrlDates(crl, NOW.getTime(), 'root CRL')
  assert.throws(() => requireCrlDates({ ...crl, nextUpdate: undefined }, NOW.getTime(), 'CRL'), {
    code: 'CRL_EXPIRED',
  })
})

function sameSignature(a: Uint8Array, b: Uint8Array): boolean {
  const at = a.findIndex((byte, i) => byte !== b[i])
  const [x = 0, y = 0] = [a[at], b[at]]
  const hex = /^[0-9a-fA-F]$/
  const letters = [x, y].map((code) => String.fromCharCode(code))
  return (
    at > a.length - 131 &&
    letters.every((letter) => hex.test(letter)) &&
    letters[0]?.toLowerCase() === letters[1]?.toLowerCase()
  )
}
