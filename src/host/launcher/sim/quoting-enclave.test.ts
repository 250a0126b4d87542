import assert from 'node:assert/strict'
import { createHash, createPublicKey, verify, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { encodeTargetInfo, FLAGS, parseQuote } from '#lib/attest'
import { concat, fromUtf8, toBase64Url, utf8 } from '#lib/bytes'
import { createCpu } from './cpu.ts'
import { parseDeviceFile } from './device-file.ts'
import { parsePrivateKey } from './pki/key-pairs.ts'
import { provisionPlatform } from './provision.ts'
import { createQuotingEnclave, type QuotingEnclave } from './quoting-enclave.ts'
import { enclaveIdentity } from './secs.ts'

const files = await provisionPlatform(Date.now())
const device = parseDeviceFile(utf8(String(files['device.json'])))
const cpu = createCpu({
  secrets: device.secrets,
  cpuSvn: device.facts.components,
  keyId: new Uint8Array(32).fill(4),
})
const pem = [device.certificates.pck, device.certificates.pckCa, device.certificates.root].map(
  (der) => new X509Certificate(der).toString(),
)
const quoting: QuotingEnclave = createQuotingEnclave(cpu, {
  ...device,
  attestationKey: parsePrivateKey(device.attestationKey),
  qeId: device.facts.qeId,
  pceSvn: device.facts.pceSvn,
  pckChain: utf8(`${pem.join('')}\0`),
})

const self = enclaveIdentity({
  mrEnclave: new Uint8Array(32).fill(0xaa),
  mrSigner: new Uint8Array(32).fill(0xbb),
  configId: new Uint8Array(64).fill(0xcc),
  isvProdId: 1,
  isvSvn: 1,
  debug: false,
})
const data = new Uint8Array(64).fill(0x5a)
const report = cpu.report(self, quoting.targetInfo(), data)

function point(xy: Uint8Array): ReturnType<typeof createPublicKey> {
  const [x, y] = [toBase64Url(xy.subarray(0, 32)), toBase64Url(xy.subarray(32))]
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' })
}

test('a quote is byte-exact: header, body of the report, length, chain with a trailing NUL', () => {
  const bytes = quoting.quote(report)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  assert.equal(view.getUint16(0, true), 3)
  assert.equal(view.getUint16(2, true), 2)
  assert.equal(view.getUint32(4, true), 0)
  assert.equal(view.getUint16(8, true), 8)
  assert.equal(view.getUint16(10, true), 13)
  assert.deepEqual(bytes.subarray(28, 48), concat(device.facts.qeId, new Uint8Array(4)))
  assert.deepEqual(bytes.subarray(48, 432), report.subarray(0, 384))
  assert.equal(view.getUint32(432, true), bytes.length - 436)
  assert.equal(view.getUint16(436 + 576, true), 32)
  assert.equal(view.getUint16(436 + 610, true), 5)
  assert.equal(view.getUint32(436 + 612, true), bytes.length - 1052)
  assert.match(fromUtf8(bytes.subarray(1052), 'chain'), /^-----BEGIN CERTIFICATE-----\n/)
  assert.equal(bytes.at(-1), 0)
})

test('the signatures of a quote hold: attestation key over the body, PCK over the QE report', () => {
  const quote = parseQuote(quoting.quote(report))
  const raw = { dsaEncoding: 'ieee-p1363' } as const
  const key = { key: point(quote.attestationKey), ...raw }
  assert.equal(verify('sha256', quote.signed, key, quote.signature), true)
  const pck = { key: new X509Certificate(device.certificates.pck).publicKey, ...raw }
  assert.equal(verify('sha256', quote.qeReportBytes, pck, quote.qeReportSignature), true)
  const binding = createHash('sha256').update(quote.attestationKey).update(quote.qeAuthData)
  assert.deepEqual(
    quote.qeReport.reportData,
    concat(new Uint8Array(binding.digest()), new Uint8Array(32)),
  )
  assert.equal(quote.qeReport.flags, 0x15n)
  assert.deepEqual(quote.body.reportData, data)
})

test('the quoting enclave refuses a report that was made for another enclave', () => {
  const other = cpu.report(self, encodeTargetInfo(self), data)
  assert.throws(() => quoting.quote(other), { code: 'TEE_REPORT_REFUSED' })
})

test('the quoting enclave refuses a report made for its debug twin', () => {
  const target = quoting.targetInfo()
  target[32] = (target[32] ?? 0) | Number(FLAGS.DEBUG)
  const other = cpu.report(self, target, data)
  assert.throws(() => quoting.quote(other), { code: 'TEE_REPORT_REFUSED' })
})

test('the quoting enclave refuses a report of another platform', () => {
  const secrets = { ...device.secrets, reportRoot: new Uint8Array(16) }
  const foreign = createCpu({ secrets, cpuSvn: cpu.cpuSvn, keyId: new Uint8Array(32) })
  const other = foreign.report(self, quoting.targetInfo(), data)
  assert.throws(() => quoting.quote(other), { code: 'TEE_REPORT_REFUSED' })
})

test('the quoting enclave refuses a report with another KEYID, MAC or edited body', () => {
  for (const at of [0, 48, 64, 128, 192, 256, 320, 383, 384, 415, 416, 431]) {
    const edited = report.with(at, (report[at] ?? 0) ^ 1)
    assert.throws(() => quoting.quote(edited), { code: 'TEE_REPORT_REFUSED' }, `byte ${at}`)
  }
})

test('the quoting enclave refuses a report of another size', () => {
  assert.throws(() => quoting.quote(report.subarray(1)), { code: 'TEE_REQUEST_MALFORMED' })
})
