import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Collateral, FLAGS, type Tee } from '#lib/attest'
import { concat } from '#lib/bytes'
import { localPlatform } from '../../../test/support/local-tee.ts'
import { FORGE_NOW, type ForgeParts, forge, reportBody } from '../../../test/support/sgx-forge.ts'
import {
  createInitiator,
  createResponder,
  type EvidenceForm,
  type HandoverError,
  quoteForm,
  reportForm,
} from './index.ts'
import { encodeMessage, encodeOffer, parseMessage, parseOffer } from './message.ts'

const fill = (byte: number, length = 32) => new Uint8Array(length).fill(byte)
const DIGEST = fill(0xd1)
const CONFIG_ID = concat(DIGEST, fill(0))
const flags = FLAGS.INIT | FLAGS.MODE64BIT | FLAGS.KSS
const ORDINARY = { mrSigner: fill(0x51), configId: CONFIG_ID, flags }
const AGENT = { ...ORDINARY, mrEnclave: fill(0xa1), isvProdId: 1, isvSvn: 3 }
const INIT = { ...ORDINARY, mrEnclave: fill(0xb1), isvProdId: 2, isvSvn: 1 }
const QUOTES = { code: 2, targetInfoSize: 0 } as const

type Edit = (parts: ForgeParts) => void
type Identity = Partial<ForgeParts['body']>
type QuotingTee = Pick<Tee, 'quote' | 'targetInfo' | 'report'>

const local = localPlatform(fill(7, 16))

const BASE = forge()
const [ANCHOR] = BASE.anchors

/** The TEE of an enclave on the forged platform; `edit` makes it another platform. */
function quoting(identity: Identity, edit: Edit = () => {}): QuotingTee {
  return {
    ...local.tee(identity),
    quote: async (reportData) =>
      forge((parts) => {
        parts.body = reportBody({ xfrm: 3n, ...identity, reportData })
        edit(parts)
      }).quote,
  }
}

function form(
  tee: QuotingTee,
  collateral: Collateral = BASE.collateral,
  now: number = FORGE_NOW.getTime(),
): EvidenceForm {
  assert.ok(ANCHOR)
  return quoteForm({
    tee,
    anchor: ANCHOR,
    minTcbEvaluationDataNumber: 17,
    collateral: async () => collateral,
    now: () => now,
  })
}

interface Setup {
  readonly agent?: EvidenceForm
  readonly init?: EvidenceForm
  readonly allowDebug?: boolean
}

async function run(setup: Setup = {}, relay = (_n: number, m: Uint8Array): Uint8Array => m) {
  const { allowDebug = false } = setup
  const responder = createResponder({
    form: setup.agent ?? form(quoting(AGENT)),
    peer: { mrEnclave: INIT.mrEnclave, allowDebug },
    initDataDigest: DIGEST,
    now: () => 0,
  })
  const payload = { layers: [], config: fill(1), scratch: fill(2) }
  const manifestDigest = `sha256:${'0'.repeat(64)}`
  const launchId = responder.offer({ podId: 'p', containerId: 'c', manifestDigest, payload })
  const init = createInitiator({
    form: setup.init ?? form(quoting(INIT)),
    launchId,
    peer: { mrSigner: fill(0x51), isvProdId: 1, minIsvSvn: 2, allowDebug },
  })
  let error: HandoverError | undefined
  try {
    const m2 = await responder.handle(relay(1, await init.begin()))
    const m3 = await init.handle(relay(2, m2))
    const m4 = await responder.handle(relay(3, m3))
    await responder.handle(relay(5, await init.handle(relay(4, m4))))
  } catch (cause) {
    error = cause as HandoverError
  }
  return { init, error, state: responder.state(launchId) }
}

async function refusedFor(setup: Setup, because: string | RegExp): Promise<void> {
  const { error, init, state } = await run(setup)
  assert.equal(error?.code, 'HANDOVER_REFUSED')
  assert.match(String((error?.cause as Error | undefined)?.message), new RegExp(because))
  assert.equal(init.result, undefined)
  assert.notEqual(state, 'SERVED')
}

test('a handover with quotes delivers, with empty TI fields and form 2', async () => {
  const seen: Uint8Array[] = []
  const { init, error, state } = await run({}, (_n, message) => {
    seen.push(message)
    return message
  })
  assert.equal(error, undefined, String(error?.cause))
  assert.equal(state, 'SERVED')
  assert.deepEqual(init.result?.config, fill(1))
  const [m1, m2] = seen
  assert.equal(m1?.length, 1 + 1 + 32 + 32 + 32 + 4)
  assert.equal(m1?.[1], 2)
  const message = parseMessage(m2 ?? fill(0))
  assert.ok(message.type === 2)
  assert.equal(parseOffer(message.b2, QUOTES).targetInfo.length, 0)
})

const otherPck: Edit = (parts) => {
  parts.pck.key = 'other'
  parts.qeReportSigner = 'other'
}
const otherQe: Edit = (parts) => {
  parts.userData = fill(9, 20)
}

test('genuine quotes of two platforms are refused on both sides', async () => {
  for (const edit of [otherPck, otherQe]) {
    await refusedFor({ agent: form(quoting(AGENT, edit)) }, 'of two platforms')
    await refusedFor({ init: form(quoting(INIT, edit)) }, 'of two platforms')
  }
  // Both on another platform is one platform again.
  const both = { agent: form(quoting(AGENT, otherQe)), init: form(quoting(INIT, otherQe)) }
  assert.equal((await run(both)).error, undefined)
})

test('the agent by itself refuses the quote of another platform', async () => {
  // An init that does not compare: the check must not be left to one side.
  const lenient = form(quoting(INIT, otherPck))
  let claimed = fill(0)
  const init: EvidenceForm = {
    ...lenient,
    async check(...input) {
      const found = await lenient.check(...input)
      claimed = new Uint8Array(found.platform)
      return found
    },
    platformOf: async () => claimed,
  }
  await refusedFor({ init }, 'of two platforms')
})

test('a quote that the host has of another enclave does not stand for our own', async () => {
  // Over the very report data: any enclave can ask for that. What it shows is another platform's.
  for (const change of [
    { mrEnclave: fill(0xee) },
    { mrSigner: fill(0xee) },
    { configId: concat(fill(0xd2), fill(0)) },
    { isvProdId: 9 },
    { isvSvn: 9 },
    { flags: flags | FLAGS.DEBUG },
    { xfrm: 7n },
    { cpuSvn: fill(1, 16) },
    { miscSelect: 1 },
    { isvExtProdId: fill(1, 16) },
    { configSvn: 1 },
    { isvFamilyId: fill(1, 16) },
    { reserved1: fill(1, 12) },
    { reserved2: fill(1) },
    { reserved3: fill(1) },
    { reserved4: fill(1, 42) },
  ]) {
    const { quote } = quoting({ ...INIT, ...change })
    const init = form({ ...quoting(INIT), quote })
    await refusedFor({ init }, 'made for us is of another enclave')
  }
})

test('an agent whose own identity could not be read once reads it again', async () => {
  let late = true
  const tee = quoting(AGENT)
  const agent = form({
    ...tee,
    targetInfo: async () => {
      if (late) throw new Error('not yet')
      return tee.targetInfo()
    },
  })
  const responder = createResponder({
    form: agent,
    peer: { mrEnclave: INIT.mrEnclave },
    initDataDigest: DIGEST,
    now: () => 0,
  })
  const manifestDigest = `sha256:${'0'.repeat(64)}`
  const payload = { layers: [], config: fill(1), scratch: fill(2) }
  const launchId = responder.offer({ podId: 'p', containerId: 'c', manifestDigest, payload })
  const begin = (): Promise<Uint8Array> =>
    createInitiator({
      form: form(quoting(INIT)),
      launchId,
      peer: { mrSigner: fill(0x51), isvProdId: 1, minIsvSvn: 2 },
    }).begin()
  await assert.rejects(responder.handle(await begin()), { code: 'HANDOVER_REFUSED' })
  late = false
  assert.equal((await responder.handle(await begin()))[0], 2)
})

test('an M1 that leads nowhere costs no report, no quote and no verification', async () => {
  let asked = 0
  const counted =
    <A extends readonly unknown[], R>(call: (...args: A) => R) =>
    (...args: A): R => {
      asked++
      return call(...args)
    }
  const tee = quoting(AGENT)
  assert.ok(ANCHOR)
  const responder = createResponder({
    form: quoteForm({
      tee: {
        quote: counted(tee.quote),
        targetInfo: counted(tee.targetInfo),
        report: counted(tee.report),
      },
      ...{ anchor: ANCHOR, minTcbEvaluationDataNumber: 17, now: () => FORGE_NOW.getTime() },
      collateral: counted(async () => BASE.collateral),
    }),
    peer: { mrEnclave: INIT.mrEnclave },
    initDataDigest: DIGEST,
    now: () => 0,
  })
  const manifestDigest = `sha256:${'0'.repeat(64)}`
  const payload = { layers: [], config: fill(1), scratch: fill(2) }
  const offer = { podId: 'p', containerId: 'c', manifestDigest, payload }
  const init = (launchId: Uint8Array) =>
    createInitiator({
      form: form(quoting(INIT)),
      launchId,
      peer: { mrSigner: fill(0x51), isvProdId: 1, minIsvSvn: 2 },
    })
  const spent = responder.offer(offer)
  const first = init(spent)
  await responder.handle(await first.handle(await responder.handle(await first.begin())))
  assert.equal(asked, 5, 'identity, report, quote and two verifications')

  const launchId = responder.offer(offer)
  const m1 = await init(launchId).begin()
  const smallOrder = m1.slice()
  smallOrder.fill(0, 2 + 64, 2 + 96)
  asked = 0
  const nowhere: readonly [string, Uint8Array, string][] = [
    ['cut', m1.subarray(0, m1.length - 1), 'HANDOVER_REFUSED'],
    ['longer', concat(m1, fill(0, 1)), 'HANDOVER_REFUSED'],
    ['three MiB', concat(m1, fill(0, 3 * 1024 * 1024)), 'HANDOVER_REFUSED'],
    ['of no form', m1.with(1, 3), 'HANDOVER_REFUSED'],
    ['of the other form', await local1(launchId), 'HANDOVER_REFUSED'],
    ['with a TARGETINFO', concat(m1.with(m1.length - 3, 2), fill(0, 512)), 'HANDOVER_REFUSED'],
    ['a public key of small order', smallOrder, 'HANDOVER_REFUSED'],
    ['for no launch', await init(fill(9)).begin(), 'HANDOVER_UNKNOWN'],
    ['for a launch that is spent', await init(spent).begin(), 'HANDOVER_SPENT'],
  ]
  for (const [what, message, code] of nowhere) {
    await assert.rejects(responder.handle(message), { code }, what)
    assert.equal(asked, 0, what)
  }
  // And none of them took one of the eight places.
  for (let i = 0; i < 8; i++) await responder.handle(await init(launchId).begin())
  asked = 0
  await assert.rejects(responder.handle(await init(launchId).begin()), { code: 'HANDOVER_BUSY' })
  assert.equal(asked, 0, 'one too many')
})

/** M1 of an init with local reports. */
async function local1(launchId: Uint8Array): Promise<Uint8Array> {
  const peer = { mrSigner: fill(0x51), isvProdId: 1, minIsvSvn: 2 }
  return createInitiator({ form: reportForm(local.tee(INIT)), launchId, peer }).begin()
}

test('a swapped form is refused, whichever side has which', async () => {
  await refusedFor({ init: reportForm(local.tee(INIT)) }, 'not valid')
  await refusedFor({ agent: reportForm(local.tee(AGENT)) }, 'not valid')
  // Nor does the byte alone, or a TARGETINFO where none belongs, make it the other one.
  const relabelled = await run({}, (n, m) => (n === 1 ? m.with(1, 1) : m))
  assert.equal(relabelled.error?.code, 'HANDOVER_REFUSED')
  const withTarget = await run({}, (n, m) => {
    if (n !== 2) return m
    const message = parseMessage(m)
    assert.ok(message.type === 2)
    const offer = { ...parseOffer(message.b2, QUOTES), targetInfo: fill(0, 512) }
    return encodeMessage({ ...message, b2: encodeOffer(offer) })
  })
  assert.equal(withTarget.error?.code, 'HANDOVER_REFUSED')
})

test('quotes are verified in full: root, revocation, status, evaluation number', async () => {
  const under = (edit: Edit): EvidenceForm => form(quoting(AGENT), forge(edit).collateral)
  await refusedFor(
    { init: form(quoting(INIT), forge((p) => p.pckCrl.revoked.push(p.pck.serial)).collateral) },
    'PCK_REVOKED',
  )
  await refusedFor(
    { agent: under((p) => (p.tcbInfo.nextUpdate = '2026-01-02T00:00:00Z')) },
    'TCB_INFO_EXPIRED',
  )
  await refusedFor(
    { agent: under((p) => (p.qeIdentity.tcbEvaluationDataNumber = 16)) },
    'TCB_EVAL_NUM_TOO_OLD',
  )
  await refusedFor(
    { agent: under((p) => (p.tcbInfo.tcbLevels[0].tcbStatus = 'OutOfDate')) },
    'TCB_POLICY',
  )
  await refusedFor(
    { agent: form(quoting(AGENT, (p) => (p.quoteSigner = 'other'))) },
    'QUOTE_SIGNATURE',
  )
  const foreign: Edit = (p) => {
    p.root.key = 'other'
    for (const spec of [p.root, p.ca, p.tcb])
      Object.assign(spec, { signer: 'other', authority: 'other' })
    p.rootCrl.signer = 'other'
    p.rootCrl.authority = 'other'
  }
  await refusedFor(
    { agent: form(quoting(AGENT, foreign), forge(foreign).collateral) },
    'ROOT_UNTRUSTED',
  )
})

test('an enclave whose clock is behind learns from what the root signed, and only forward', async () => {
  // The clock of an enclave that has heard of nobody since it was built.
  const built = Date.UTC(2020, 0, 1)
  const behind = { init: form(quoting(INIT), BASE.collateral, built) }
  assert.equal((await run(behind)).error, undefined)
  // A list that is newer than the end of the TCB info says that this end is past.
  const edit: Edit = (p) => {
    p.tcbInfo.nextUpdate = '2026-01-02T00:00:00Z'
  }
  const { collateral } = forge(edit)
  await refusedFor({ init: form(quoting(INIT), collateral, built) }, 'TCB_INFO_EXPIRED')
  // And a clock that is ahead of all that was signed stays where it is.
  const late = Date.UTC(2099, 0, 1)
  await refusedFor({ init: form(quoting(INIT), BASE.collateral, late) }, '_EXPIRED')
})

test('a time once learned stays: an older set is not taken after a newer one', async () => {
  const newer = forge((p) => {
    const [from, until] = [Date.UTC(2026, 5, 1), Date.UTC(2026, 6, 1)]
    for (const list of [p.rootCrl, p.pckCrl]) [list.thisUpdate, list.nextUpdate] = [from, until]
    for (const document of [p.tcbInfo, p.qeIdentity]) {
      document.issueDate = '2026-06-01T00:00:00Z'
      document.nextUpdate = '2026-07-01T00:00:00Z'
    }
  }).collateral
  assert.ok(ANCHOR)
  let shown = BASE.collateral
  const tee = quoting(INIT)
  const init = quoteForm({
    ...{ tee, anchor: ANCHOR, minTcbEvaluationDataNumber: 17 },
    collateral: async () => shown,
    now: () => Date.UTC(2020, 0, 1),
  })
  const self = await init.self()
  const [data, none] = [fill(1, 64), new Uint8Array(0)]
  const check = async () => init.check(self, await tee.quote(data), none, data)
  await check()
  shown = newer
  await check()
  shown = BASE.collateral
  await assert.rejects(check, { code: 'HANDOVER_REFUSED' })
})

test('peers are judged as in form 1', async () => {
  const agent = (change: Identity): Setup => ({ agent: form(quoting({ ...AGENT, ...change })) })
  const init = (change: Identity): Setup => ({ init: form(quoting({ ...INIT, ...change })) })
  await refusedFor(agent({ mrSigner: fill(0x52) }), 'another signer')
  await refusedFor(agent({ isvProdId: 2 }), 'another product')
  await refusedFor(agent({ isvSvn: 1 }), 'too old')
  await refusedFor(init({ mrEnclave: fill(0xb2) }), 'another measurement')
  await refusedFor(init({ configId: concat(fill(0xd2), fill(0)) }), 'other init-data')
  await refusedFor(init({ flags: FLAGS.INIT | FLAGS.MODE64BIT }), 'no KSS')
  const debug = { flags: flags | FLAGS.DEBUG }
  await refusedFor(agent(debug), 'debug enclave')
  await refusedFor(init(debug), 'debug enclave')
  const allowed = await run({ ...agent(debug), ...init(debug), allowDebug: true })
  assert.equal(allowed.error, undefined)
})

test('a quote about another conversation is refused', async () => {
  const stale = await quoting(INIT).quote(fill(0x77, 64))
  const replayed = await run({}, (n, m) => {
    if (n !== 3) return m
    const message = parseMessage(m)
    assert.ok(message.type === 3)
    return encodeMessage({ ...message, evidence: stale })
  })
  assert.equal(replayed.error?.code, 'HANDOVER_REFUSED')
  assert.match(String(replayed.error?.cause), /REPORT_DATA_MISMATCH/)
})

test('a byte changed anywhere in a message with quotes ends the handover', async () => {
  const lengths: number[] = []
  await run({}, (n, m) => {
    lengths[n] = m.length
    return m
  })
  for (const [n, length] of lengths.entries()) {
    // A prime step: over the fields of M2 and M3 by turns, in a time that a unit test may take.
    for (let at = 0; at < (length ?? 0); at += length > 1000 ? 211 : 7) {
      const { error, state } = await run({}, (k, m) =>
        k === n ? m.with(at, (m[at] ?? 0) ^ (1 << (at % 8))) : m,
      )
      assert.ok(error !== undefined, `byte ${at} of M${n}`)
      assert.notEqual(state, 'SERVED')
    }
  }
})
