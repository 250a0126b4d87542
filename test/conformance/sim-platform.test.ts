import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duplex, duplexPair } from 'node:stream'
import { after, test } from 'node:test'
import {
  encodeQuote,
  FLAGS,
  intelSgxRoot,
  parseCollateral,
  parseQuote,
  parseReport,
  parseTrustAnchor,
  type QuoteResult,
  type Tee,
  type TrustAnchor,
  verifyQuote,
} from '#lib/attest'
import { concat, fromHex, toHex, utf8 } from '#lib/bytes'
import { encodeFrame, FrameDecoder } from '#protocol/tee-device'
import { openSimTee } from '../../src/enclave/tee/index.ts'
import {
  NORMAL,
  openPlatform,
  parseSetting,
  type Secs,
  type SimPlatform,
} from '../../src/host/launcher/sim/index.ts'

const base = mkdtempSync(join(tmpdir(), 'sim-conformance-'))
after(() => rmSync(base, { recursive: true, force: true }))

const NOW = Date.UTC(2026, 5, 1)
const DATA = new Uint8Array(64).fill(0x5a)

function opened(name: string): Promise<SimPlatform> {
  return openPlatform(join(base, name), { now: () => NOW })
}

const agent: Secs = {
  mrEnclave: new Uint8Array(32).fill(0xaa),
  mrSigner: new Uint8Array(32).fill(0xbb),
  configId: new Uint8Array(64).fill(0xcc),
  isvProdId: 1,
  isvSvn: 3,
  debug: false,
}
const init: Secs = { ...agent, mrEnclave: new Uint8Array(32).fill(0xdd), isvProdId: 2 }

/** Starts an enclave as the launcher does, without its process. */
function launch(platform: SimPlatform, secs: Secs): Tee {
  const [enclave, device] = duplexPair()
  platform.serve(device, secs)
  return openSimTee(enclave)
}

async function collateralOf(tee: Tee): Promise<ReturnType<typeof parseCollateral>> {
  assert.ok(tee.collateral)
  return parseCollateral(await tee.collateral())
}

async function judge(
  tee: Tee,
  platform: SimPlatform,
  anchors: readonly TrustAnchor[] = [parseTrustAnchor(utf8(platform.exportRoot()))],
): Promise<QuoteResult> {
  return verifyQuote({
    quote: await tee.quote(DATA),
    collateral: await collateralOf(tee),
    anchors,
    now: new Date(NOW),
    policy: { reportData: DATA, configId: agent.configId },
  })
}

test('a quote of the simulated platform is accepted under its root, as simulated', async () => {
  const platform = await opened('main')
  const result = await judge(launch(platform, agent), platform)
  assert.deepEqual([result.code, result.message], [undefined, undefined])
  assert.equal(result.verified && result.accepted, true)
  assert.equal(result.platform, 'simulated')
  assert.equal(result.status, 'UpToDate')
  assert.equal(result.debug, false)
  assert.equal(result.mrEnclave, toHex(agent.mrEnclave))
  assert.equal(result.mrSigner, toHex(agent.mrSigner))
  assert.equal(result.configId, toHex(agent.configId))
  assert.equal(result.isvProdId, 1)
  assert.equal(result.isvSvn, 3)
  assert.equal(result.fmspc, '53494d000000')
  assert.equal(result.tcbEvaluationDataNumber, 17)
  assert.equal(result.evidence?.ca, 'platform')
  assert.equal(toHex(result.evidence?.pck.ppid ?? new Uint8Array()), (await platform.show()).ppid)
})

test('it is refused under Intel’s root, and under the root of another simulated platform', async () => {
  const platform = await opened('main')
  const tee = launch(platform, agent)
  const intel = await judge(tee, platform, [intelSgxRoot()])
  assert.deepEqual([intel.verified, intel.code], [false, 'ROOT_UNTRUSTED'])
  const other = parseTrustAnchor(utf8((await opened('other')).exportRoot()))
  const foreign = await judge(tee, platform, [other])
  assert.deepEqual([foreign.verified, foreign.code], [false, 'ROOT_UNTRUSTED'])
})

test('an edited body and an exchanged attestation key are refused', async () => {
  const platform = await opened('main')
  const tee = launch(platform, agent)
  const quote = await tee.quote(DATA)
  const foreign = parseQuote(await launch(await opened('other'), agent).quote(DATA))
  const { attestationKey, signature } = foreign
  const exchanged = encodeQuote({ ...parseQuote(quote), attestationKey, signature })
  const verdict = async (bytes: Uint8Array): Promise<string | undefined> =>
    verifyQuote({
      quote: bytes,
      collateral: await collateralOf(tee),
      anchors: [parseTrustAnchor(utf8(platform.exportRoot()))],
      now: new Date(NOW),
    }).code
  assert.equal(await verdict(quote), undefined)
  assert.equal(await verdict(quote.with(48 + 64, 0x01)), 'QUOTE_SIGNATURE')
  assert.equal(await verdict(exchanged), 'QE_REPORT_BINDING')
})

test('collateral of another platform does not serve', async () => {
  const platform = await opened('main')
  const result = verifyQuote({
    quote: await launch(platform, agent).quote(DATA),
    collateral: await collateralOf(launch(await opened('other'), agent)),
    anchors: [parseTrustAnchor(utf8(platform.exportRoot()))],
    now: new Date(NOW),
  })
  assert.deepEqual([result.verified, result.code], [false, 'CRL_ISSUER'])
})

const VERDICTS = [
  { setting: 'tcb=out-of-date', verified: true, code: 'TCB_POLICY', status: 'OutOfDate' },
  { setting: 'tcb=revoked', verified: false, code: 'TCB_REVOKED', status: 'Revoked' },
  { setting: 'revoked', verified: false, code: 'PCK_REVOKED', status: undefined },
  { setting: 'pck=revoked', verified: false, code: 'PCK_REVOKED', status: undefined },
  { setting: 'pck-ca=revoked', verified: false, code: 'INTERMEDIATE_REVOKED', status: undefined },
  { setting: 'tcb-signer=revoked', verified: false, code: 'TCB_SIGNER_REVOKED', status: undefined },
  { setting: 'qe=out-of-date', verified: true, code: 'TCB_POLICY', status: 'OutOfDate' },
  { setting: 'qe=revoked', verified: false, code: 'TCB_REVOKED', status: 'Revoked' },
  { setting: 'collateral=expired', verified: false, code: 'CRL_EXPIRED', status: undefined },
  { setting: 'collateral=crl-expired', verified: false, code: 'CRL_EXPIRED', status: undefined },
  {
    setting: 'collateral=tcb-info-expired',
    verified: false,
    code: 'TCB_INFO_EXPIRED',
    status: undefined,
  },
  {
    setting: 'collateral=qe-identity-expired',
    verified: false,
    code: 'QE_IDENTITY_EXPIRED',
    status: undefined,
  },
  { setting: 'debug', verified: true, code: 'DEBUG_NOT_ALLOWED', status: 'UpToDate' },
] as const

for (const { setting, verified, code, status } of VERDICTS) {
  test(`rehearsing ${setting} gives ${code}, and normal ends it`, async () => {
    const platform = await opened('rehearsal')
    await platform.rehearse(parseSetting(setting) ?? assert.fail(setting))
    const refused = await judge(launch(platform, agent), platform)
    assert.equal(refused.accepted, false)
    assert.deepEqual([refused.verified, refused.code, refused.status], [verified, code, status])
    assert.equal(refused.debug, setting === 'debug')
    await platform.rehearse(NORMAL)
    const accepted = await judge(launch(platform, agent), platform)
    assert.deepEqual([accepted.accepted, accepted.code], [true, undefined])
  })
}

test('an enclave that runs while the platform falls out of date attests the new state', async () => {
  const platform = await opened('running')
  const tee = launch(platform, agent)
  assert.equal((await judge(tee, platform)).accepted, true)
  await platform.rehearse({ tcb: 'out-of-date' })
  assert.equal((await judge(tee, platform)).code, 'TCB_POLICY')
})

test('two enclaves of one machine check each other’s reports, also over two openings of it', async () => {
  const [a, b] = [launch(await opened('main'), agent), launch(await opened('main'), init)]
  const report = await a.report(await b.targetInfo(), DATA)
  assert.equal(await b.verifyReport(report), true)
  assert.deepEqual(parseReport(report).mrEnclave, agent.mrEnclave)
  // Made for b: neither its maker nor a third enclave can use it, nor b's debug twin.
  assert.equal(await a.verifyReport(report), false)
  const twin = launch(await opened('main'), { ...init, debug: true })
  assert.equal(await twin.verifyReport(report), false)
  const elsewhere = launch(await opened('other'), init)
  assert.equal(await elsewhere.verifyReport(report), false)
})

test('a report is refused after an edit of body, KEYID or MAC', async () => {
  const platform = await opened('main')
  const [a, b] = [launch(platform, agent), launch(platform, init)]
  const report = await a.report(await b.targetInfo(), DATA)
  for (const at of [0, 48, 64, 128, 192, 256, 320, 383, 384, 415, 416, 431]) {
    assert.equal(await b.verifyReport(report.with(at, (report[at] ?? 0) ^ 1)), false, `byte ${at}`)
  }
})

test('the debug twin says so in its quote and cannot read what its production twin sealed', async () => {
  const platform = await opened('main')
  const [real, twin] = [launch(platform, agent), launch(platform, { ...agent, debug: true })]
  const body = parseQuote(await twin.quote(DATA)).body
  assert.equal(body.flags & FLAGS.DEBUG, FLAGS.DEBUG)
  for (const policy of ['enclave', 'signer'] as const) {
    const key = toHex(await real.sealingKey(policy, 'test'))
    assert.notEqual(toHex(await twin.sealingKey(policy, 'test')), key)
  }
})

const byte = (size: number): Uint8Array => new Uint8Array(size).fill(1)
const SEALING: Readonly<
  Record<string, { change: Partial<Secs>; enclave: boolean; signer: boolean }>
> = {
  'nothing changed': { change: {}, enclave: true, signer: true },
  'another build': { change: { mrEnclave: byte(32) }, enclave: false, signer: true },
  'another author': { change: { mrSigner: byte(32) }, enclave: true, signer: false },
  'another product': { change: { isvProdId: 9 }, enclave: false, signer: false },
  'other init-data': { change: { configId: byte(64) }, enclave: false, signer: false },
  'another version': { change: { isvSvn: 4 }, enclave: false, signer: false },
  debug: { change: { debug: true }, enclave: false, signer: false },
}

for (const [what, { change, enclave, signer }] of Object.entries(SEALING)) {
  test(`sealing keys with ${what}: same by build ${enclave}, same by author ${signer}`, async () => {
    const platform = await opened('main')
    const [a, b] = [launch(platform, agent), launch(platform, { ...agent, ...change })]
    for (const [policy, same] of [
      ['enclave', enclave],
      ['signer', signer],
    ] as const) {
      const [one, two] = [await a.sealingKey(policy, 'test'), await b.sealingKey(policy, 'test')]
      assert.equal(toHex(one) === toHex(two), same, policy)
    }
  })
}

test('sealing keys differ between platforms and stay over openings', async () => {
  const key = async (name: string): Promise<string> =>
    toHex(await launch(await opened(name), agent).sealingKey('enclave', 'test'))
  assert.equal(await key('main'), await key('main'))
  assert.notEqual(await key('main'), await key('other'))
})

/** Speaks to the device without the driver, as a hostile enclave would. */
function raw(
  platform: SimPlatform,
  secs: Secs,
): {
  send(bytes: Uint8Array): void
  answer(): Promise<{ tag: number; body: Uint8Array } | undefined>
} {
  const [enclave, device] = duplexPair()
  platform.serve(device, secs)
  const decoder = new FrameDecoder(300_000)
  const chunks = enclave[Symbol.asyncIterator]()
  enclave.on('error', () => {})
  return {
    send: (bytes) => void enclave.write(bytes),
    async answer() {
      for (;;) {
        // A device that was closed ends the stream early: no answer either way.
        const next = await chunks.next().catch(() => ({ done: true, value: undefined }))
        if (next.done === true) return undefined
        const [frame] = decoder.push(next.value as Uint8Array)
        if (frame !== undefined) return frame
      }
    },
  }
}

const REFUSALS = [
  { what: 'an unknown operation', op: 9, body: new Uint8Array(0), status: 2 },
  { what: 'EREPORT of another size', op: 1, body: new Uint8Array(575), status: 1 },
  { what: 'EREPORT with reserved bytes', op: 1, body: new Uint8Array(576).with(511, 1), status: 1 },
  { what: 'EGETKEY for a launch key', op: 2, body: new Uint8Array(512), status: 3 },
  { what: 'a quote of a report that nobody made', op: 4, body: new Uint8Array(432), status: 4 },
  { what: 'QE_TARGETINFO with a body', op: 3, body: new Uint8Array(1), status: 1 },
] as const

for (const { what, op, body, status } of REFUSALS) {
  test(`the device answers ${what} with status ${status} and goes on`, async () => {
    const client = raw(await opened('main'), agent)
    client.send(encodeFrame(op, body))
    assert.deepEqual(await client.answer(), { tag: status, body: new Uint8Array(0) })
    client.send(encodeFrame(3, new Uint8Array(0)))
    assert.equal((await client.answer())?.tag, 0)
  })
}

test('the device closes on a frame that is too long, without waiting for its bytes', async () => {
  const client = raw(await opened('main'), agent)
  client.send(Uint8Array.of(0, 0, 0x10, 0, 1))
  assert.equal(await client.answer(), undefined)
})

test('the device answers requests that come in one piece, and in many, in order', async () => {
  const client = raw(await opened('main'), agent)
  const target = encodeFrame(3, new Uint8Array(0))
  const report = encodeFrame(1, new Uint8Array(576))
  for (const piece of concat(target, report)) client.send(Uint8Array.of(piece))
  assert.equal((await client.answer())?.body.length, 512)
  assert.equal((await client.answer())?.body.length, 432)
})

test('a report names the enclave of the socket, whatever the request asks for', async () => {
  const client = raw(await opened('main'), init)
  client.send(encodeFrame(1, new Uint8Array(576).fill(0xaa, 0, 32)))
  const report = parseReport((await client.answer())?.body ?? new Uint8Array())
  assert.deepEqual(report.mrEnclave, init.mrEnclave)
  assert.equal(report.isvProdId, init.isvProdId)
})

test('a device that cannot answer says no more than that, and tells its own side why', async () => {
  const directory = join(base, 'broken')
  const platform = await openPlatform(directory, { now: () => NOW })
  const [enclave, device] = duplexPair()
  const failures: unknown[] = []
  platform.serve(device, agent, { onFailure: (error) => failures.push(error) })
  const tee = openSimTee(enclave)
  chmodSync(join(directory, 'issue-0000000001.json'), 0o644)
  await assert.rejects(tee.collateral?.() ?? assert.fail(), { code: 'TEE_DEVICE_FAILED' })
  assert.equal((failures[0] as { code?: string }).code, 'PLATFORM_PERMISSIONS')
  await assert.rejects(tee.verifyReport(new Uint8Array(1)), { code: 'FORMAT_TRUNCATED' })
  assert.equal((await tee.targetInfo()).length, 512)
  assert.equal(failures.length, 1)
})

test('close() ends the device of its enclave and no other', async () => {
  const platform = await opened('main')
  const [enclave, device] = duplexPair()
  const served = platform.serve(device, agent)
  const [tee, other] = [openSimTee(enclave), launch(platform, init)]
  await tee.targetInfo()
  served.close()
  await served.closed
  await assert.rejects(tee.quote(DATA), { code: 'TEE_DEVICE_CLOSED' })
  assert.equal((await other.quote(DATA)).length > 1020, true)
})

test('an enclave in a process of its own reaches its device through descriptor 3', async () => {
  const platform = await opened('main')
  const script = `const { openSimTee } = await import(process.argv[1])
    const { Socket } = await import('node:net')
    const tee = openSimTee(new Socket({ fd: 3 }))
    process.stdout.write(Buffer.from(await tee.quote(new Uint8Array(64).fill(0x5a))).toString('hex'))
    process.exit()`
  const driver = join(import.meta.dirname, '../../src/enclave/tee/index.ts')
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, driver], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  })
  const served = platform.serve(child.stdio[3] as Duplex, agent)
  let hex = ''
  for await (const chunk of child.stdout ?? assert.fail()) hex += String(chunk)
  const { body } = parseQuote(fromHex(hex, 'quote'))
  assert.deepEqual(
    [toHex(body.mrEnclave), toHex(body.reportData)],
    [toHex(agent.mrEnclave), toHex(DATA)],
  )
  // The end of the process is the end of its device.
  await served.closed
})
