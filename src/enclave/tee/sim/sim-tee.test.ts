import assert from 'node:assert/strict'
import { type Duplex, duplexPair } from 'node:stream'
import { test } from 'node:test'
import {
  aesCmac,
  encodeReport,
  KEY_NAME,
  KEY_POLICY,
  type KeyRequest,
  parseKeyRequest,
  parseTargetInfo,
  type Report,
  type Tee,
} from '#lib/attest'
import { toHex } from '#lib/bytes'
import { encodeFrame, type Frame, FrameDecoder, OPERATIONS } from '#protocol/tee-device'
import { openSimTee } from './index.ts'

/** A device that answers each request with the frame that `respond` gives for it, or not at all. */
function scripted(respond: (request: Frame) => Uint8Array | undefined): {
  readonly tee: Tee
  readonly device: Duplex
  readonly requests: Frame[]
} {
  const [enclave, device] = duplexPair()
  const decoder = new FrameDecoder(4096)
  const requests: Frame[] = []
  device.on('data', (chunk: Uint8Array) => {
    for (const request of decoder.push(chunk)) {
      requests.push(request)
      const answer = respond(request)
      if (answer !== undefined) device.write(answer)
    }
  })
  device.on('error', () => {})
  return { tee: openSimTee(enclave), device, requests }
}

const ok = (body: Uint8Array): Uint8Array => encodeFrame(0, body)
const KEY = new Uint8Array(16).fill(0x77)

const unsigned: Report = {
  cpuSvn: new Uint8Array(16).fill(9),
  miscSelect: 0,
  isvExtProdId: new Uint8Array(16),
  flags: 0x85n,
  xfrm: 7n,
  mrEnclave: new Uint8Array(32).fill(0xaa),
  mrSigner: new Uint8Array(32).fill(0xbb),
  configId: new Uint8Array(64).fill(0xcc),
  isvProdId: 2,
  isvSvn: 5,
  configSvn: 0,
  isvFamilyId: new Uint8Array(16),
  reportData: new Uint8Array(64),
  keyId: new Uint8Array(32).fill(4),
  mac: new Uint8Array(16),
}
const mac = aesCmac(KEY, encodeReport(unsigned).subarray(0, 384))
const REPORT = encodeReport({ ...unsigned, mac })

/** Answers EREPORT with REPORT and EGETKEY with `key`. */
function honest(key = KEY): ReturnType<typeof scripted> {
  return scripted(({ tag }) => ok(tag === OPERATIONS.report.op ? REPORT : key))
}

test('openSimTee() says that it is simulated', () => {
  assert.equal(honest().tee.platform, 'simulated')
})

test('targetInfo() names this enclave', async () => {
  const target = parseTargetInfo(await honest().tee.targetInfo())
  assert.deepEqual(target.mrEnclave, unsigned.mrEnclave)
  assert.deepEqual(target.configId, unsigned.configId)
  assert.equal(target.flags, unsigned.flags)
})

test('verifyReport() asks for the REPORT key of the report’s KEYID and checks the MAC', async () => {
  const { tee, requests } = honest()
  assert.equal(await tee.verifyReport(REPORT), true)
  const request = parseKeyRequest(requests[0]?.body ?? new Uint8Array())
  assert.equal(request.keyName, KEY_NAME.REPORT)
  assert.deepEqual(request.keyId, unsigned.keyId)
})

test('verifyReport() is false after an edit of any byte of body or MAC, and under another key', async () => {
  const { tee } = honest()
  for (const at of [0, 20, 48, 64, 128, 192, 256, 320, 383, 416, 431]) {
    assert.equal(await tee.verifyReport(REPORT.with(at, (REPORT[at] ?? 0) ^ 1)), false)
  }
  assert.equal(await honest(new Uint8Array(16)).tee.verifyReport(REPORT), false)
})

test('verifyReport() refuses a report of another size', async () => {
  await assert.rejects(honest().tee.verifyReport(REPORT.subarray(1)), { code: 'FORMAT_TRUNCATED' })
  await assert.rejects(honest().tee.verifyReport(new Uint8Array(433)), { code: 'FORMAT_TRAILING' })
})

async function sealing(policy: 'enclave' | 'signer', label: string): Promise<[string, KeyRequest]> {
  const { tee, requests } = honest()
  const key = await tee.sealingKey(policy, label)
  assert.equal(key.length, 32)
  return [toHex(key), parseKeyRequest(requests[1]?.body ?? new Uint8Array())]
}

test('sealingKey() binds CONFIGID always, the build or the author by policy, and the own versions', async () => {
  const [, enclave] = await sealing('enclave', 'a')
  assert.equal(enclave.keyName, KEY_NAME.SEAL)
  assert.equal(enclave.keyPolicy, KEY_POLICY.CONFIGID | KEY_POLICY.MRENCLAVE)
  assert.equal(enclave.isvSvn, unsigned.isvSvn)
  assert.deepEqual(enclave.cpuSvn, unsigned.cpuSvn)
  const [, signer] = await sealing('signer', 'a')
  assert.equal(signer.keyPolicy, KEY_POLICY.CONFIGID | KEY_POLICY.MRSIGNER)
})

test('sealingKey() is stable for a label and differs between labels', async () => {
  const [a] = await sealing('enclave', 'a')
  assert.equal((await sealing('enclave', 'a'))[0], a)
  assert.notEqual((await sealing('enclave', 'b'))[0], a)
  // Known answer, so that sealed data stays readable: HKDF-SHA256 over sixteen bytes 0x77.
  assert.equal(a, SEALING_KEY_A)
})

const SEALING_KEY_A = 'd1a29cf426600440e20ac61d442c99ba7d7e5daaeb3d7ca491a5d4403baa8571'

test('sealingKey() refuses an empty and a very long label', async () => {
  await assert.rejects(honest().tee.sealingKey('enclave', ''), RangeError)
  await assert.rejects(honest().tee.sealingKey('enclave', 'x'.repeat(257)), RangeError)
})

test('report() sends target and data, and refuses other sizes before it sends', async () => {
  const { tee, requests } = honest()
  assert.deepEqual(await tee.report(new Uint8Array(512), new Uint8Array(64)), REPORT)
  await assert.rejects(tee.report(new Uint8Array(511), new Uint8Array(64)), {
    code: 'TEE_REQUEST_MALFORMED',
  })
  assert.equal(requests.length, 1)
  assert.equal(requests[0]?.body.length, 576)
})

test('requests in flight get their answers in order', async () => {
  let count = 0
  const { tee } = scripted(() => ok(REPORT.with(0, ++count)))
  const reports = [1, 2, 3].map(() => tee.report(new Uint8Array(512), new Uint8Array(64)))
  assert.deepEqual(
    (await Promise.all(reports)).map((report) => report[0]),
    [1, 2, 3],
  )
})

test('a refusal carries its code and leaves the device usable', async () => {
  let refuse = true
  const { tee } = scripted(() => (refuse ? encodeFrame(3, new Uint8Array()) : ok(REPORT)))
  await assert.rejects(tee.targetInfo(), { code: 'TEE_KEY_REFUSED' })
  refuse = false
  assert.equal((await tee.report(new Uint8Array(512), new Uint8Array(64))).length, 432)
})

for (const [what, answer] of [
  ['too short', ok(REPORT.subarray(1))],
  ['too long', ok(new Uint8Array(433))],
  ['of an unknown status', encodeFrame(9, new Uint8Array())],
  ['a refusal with text', encodeFrame(3, Uint8Array.of(1))],
  ['a frame without a tag', new Uint8Array(4)],
] as const) {
  test(`an answer that is ${what} ends the device for good`, async () => {
    const { tee, device } = scripted(() => answer)
    await assert.rejects(tee.targetInfo(), { code: 'TEE_DEVICE_PROTOCOL' })
    await assert.rejects(tee.report(new Uint8Array(512), new Uint8Array(64)), {
      code: 'TEE_DEVICE_PROTOCOL',
    })
    device.destroy()
  })
}

test('an answer without a request ends the device', async () => {
  const { tee, device } = scripted(() => undefined)
  device.write(ok(REPORT))
  await new Promise((resolve) => setImmediate(resolve))
  await assert.rejects(tee.targetInfo(), { code: 'TEE_DEVICE_PROTOCOL' })
})

test('closing the device fails what waits for it and what comes later', async () => {
  const { tee, device } = scripted(() => undefined)
  const waiting = tee.targetInfo()
  device.end()
  await assert.rejects(waiting, { code: 'TEE_DEVICE_CLOSED' })
  await assert.rejects(tee.quote(new Uint8Array(64)), { code: 'TEE_DEVICE_CLOSED' })
})
