import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '#lib/bytes'
import { readVector } from '../../../../test/support/sgx-vectors.ts'
import { aesCmac } from './cmac.ts'
import { encodeKeyRequest, KEY_REQUEST_SIZE, parseKeyRequest } from './key-request.ts'
import { Memo } from './memo.ts'
import {
  encodeReport,
  encodeReportBody,
  parseReport,
  parseReportBody,
  REPORT_BODY_SIZE,
  REPORT_SIZE,
} from './report.ts'
import { encodeTargetInfo, parseTargetInfo, TARGET_INFO_SIZE, targetInfoOf } from './target-info.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })

const primitives = JSON.parse(Buffer.from(readVector('primitives.json')).toString())

test('aesCmac() gives the values of RFC 4493 and of a report-sized message', () => {
  const { key, cases } = primitives.aesCmac
  for (const { msg, mac } of cases) {
    assert.equal(toHex(aesCmac(fromHex(key, 'key'), fromHex(msg, 'msg'))), mac)
  }
  const long = primitives.aesCmac.reportSized
  const message = Uint8Array.from({ length: 384 }, (_, i) => i & 0xff)
  assert.equal(toHex(aesCmac(fromHex(long.key, 'key'), message)), long.mac)
})

test('aesCmac() refuses keys of another size', () => {
  for (const size of [0, 15, 17, 32]) {
    assert.throws(() => aesCmac(new Uint8Array(size), new Uint8Array()), RangeError)
  }
})

test('any report is encoded as it was parsed, reserved bytes included', () => {
  fc.assert(
    fc.property(bytes(REPORT_SIZE), (report) => {
      assert.deepEqual(encodeReport(parseReport(report)), report)
      const body = report.subarray(0, REPORT_BODY_SIZE)
      assert.deepEqual(encodeReportBody(parseReportBody(body)), new Uint8Array(body))
    }),
  )
})

test('report fields lie where the processor puts them', () => {
  const report = parseReport(Uint8Array.from({ length: REPORT_SIZE }, (_, i) => i & 0xff))
  assert.equal(report.cpuSvn[0], 0)
  assert.equal(report.miscSelect, 0x13121110)
  assert.equal(report.isvExtProdId[0], 32)
  assert.equal(report.flags, 0x3736353433323130n)
  assert.equal(report.xfrm, 0x3f3e3d3c3b3a3938n)
  assert.equal(report.mrEnclave[0], 64)
  assert.equal(report.mrSigner[0], 128)
  assert.equal(report.configId[0], 192)
  assert.equal(report.isvProdId, 0x0100)
  assert.equal(report.isvSvn, 0x0302)
  assert.equal(report.configSvn, 0x0504)
  assert.equal(report.isvFamilyId[0], 304 & 0xff)
  assert.equal(report.reportData[0], 320 & 0xff)
  assert.equal(report.keyId[0], 384 & 0xff)
  assert.equal(report.mac[0], 416 & 0xff)
})

test('reports, target infos and key requests of another size are refused', () => {
  for (const [parse, size] of [
    [parseReport, REPORT_SIZE],
    [parseReportBody, REPORT_BODY_SIZE],
    [parseTargetInfo, TARGET_INFO_SIZE],
    [parseKeyRequest, KEY_REQUEST_SIZE],
  ] as const) {
    for (let length = 0; length < size; length += 13) {
      assert.throws(() => parse(new Uint8Array(length)), { code: 'FORMAT_TRUNCATED' })
    }
    assert.throws(() => parse(new Uint8Array(size + 1)), { code: 'FORMAT_TRAILING' })
    parse(new Uint8Array(size))
  }
})

test('target info round trips, and refuses every reserved byte that is set', () => {
  const target = {
    mrEnclave: new Uint8Array(32).fill(1),
    flags: 0x85n,
    xfrm: 7n,
    cetAttributes: 3,
    configSvn: 5,
    miscSelect: 6,
    configId: new Uint8Array(64).fill(2),
  }
  const encoded = encodeTargetInfo(target)
  assert.deepEqual(parseTargetInfo(encoded), target)
  for (let at = 0; at < TARGET_INFO_SIZE; at++) {
    const reserved = at === 49 || (at >= 56 && at < 64) || at >= 128
    const changed = encoded.with(at, 0xff)
    if (reserved) assert.throws(() => parseTargetInfo(changed), { code: 'FORMAT_INVALID' })
    else assert.deepEqual(encodeTargetInfo(parseTargetInfo(changed)), changed)
  }
})

test('key request round trips, and refuses every reserved byte that is set', () => {
  const encoded = encodeKeyRequest({
    keyName: 4,
    keyPolicy: 1,
    isvSvn: 2,
    cpuSvn: new Uint8Array(16).fill(3),
    flagsMask: 0xff0000000000000bn,
    xfrmMask: 0n,
    keyId: new Uint8Array(32).fill(4),
    miscMask: 0xf0000000,
    configSvn: 5,
  })
  assert.equal(encoded.length, KEY_REQUEST_SIZE)
  for (let at = 0; at < KEY_REQUEST_SIZE; at++) {
    const reserved = at === 6 || at === 7 || at >= 78
    const changed = encoded.with(at, 0xff)
    if (reserved) assert.throws(() => parseKeyRequest(changed), { code: 'FORMAT_INVALID' })
    else assert.deepEqual(encodeKeyRequest(parseKeyRequest(changed)), changed)
  }
})

test('encoders refuse fields of another size instead of shifting what follows', () => {
  const body = parseReportBody(new Uint8Array(REPORT_BODY_SIZE))
  for (const field of ['cpuSvn', 'mrEnclave', 'mrSigner', 'configId', 'reportData'] as const) {
    assert.throws(() => encodeReportBody({ ...body, [field]: new Uint8Array(7) }), RangeError)
  }
  const target = targetInfoOf(body)
  assert.throws(() => encodeTargetInfo({ ...target, mrEnclave: new Uint8Array(31) }), RangeError)
})

test('targetInfoOf() takes the identity that EREPORT binds', () => {
  const body = parseReportBody(Uint8Array.from({ length: REPORT_BODY_SIZE }, (_, i) => i & 0xff))
  const target = targetInfoOf(body)
  assert.deepEqual(target.mrEnclave, body.mrEnclave)
  assert.deepEqual(target.configId, body.configId)
  assert.equal(target.flags, body.flags)
  assert.equal(target.xfrm, body.xfrm)
  assert.equal(target.cetAttributes, 20)
  assert.equal(target.configSvn, body.configSvn)
  assert.equal(target.miscSelect, body.miscSelect)
})

test('Memo computes once for one input, keeps no failures and stays within its limit', () => {
  const memo = new Memo<number>(2)
  let computed = 0
  const get = (...parts: number[][]): number =>
    memo.get(
      parts.map((part) => new Uint8Array(part)),
      () => ++computed,
    )
  assert.equal(get([1], [2]), 1)
  assert.equal(get([1], [2]), 1)
  assert.equal(get([1, 2], []), 2, 'the same bytes, cut elsewhere')
  assert.equal(get([1], [2]), 1)
  assert.equal(get([3]), 3)
  assert.equal(get([1], [2]), 1, 'used last, so kept')
  assert.equal(get([1, 2], []), 4, 'dropped, so computed again')
  const fail = (): number => {
    throw new RangeError()
  }
  assert.throws(() => memo.get([new Uint8Array([9])], fail), RangeError)
  assert.equal(get([9]), 5)
})

test('Memo forgets nothing and confuses nothing when a caller changes its own bytes', () => {
  const memo = new Memo<string>(2)
  const bytes = Uint8Array.of(1, 2, 3)
  assert.equal(
    memo.get([bytes], () => 'first'),
    'first',
  )
  bytes[2] = 4
  assert.equal(
    memo.get([bytes], () => 'second'),
    'second',
    'other bytes in the same place',
  )
  bytes[2] = 3
  assert.equal(
    memo.get([bytes], () => 'third'),
    'first',
  )
  assert.equal(
    memo.get([bytes, new Uint8Array()], () => 'fourth'),
    'fourth',
    'one more input',
  )
})
