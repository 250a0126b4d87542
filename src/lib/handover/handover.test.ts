import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLAGS, type Tee } from '#lib/attest'
import { concat, toHex, utf8 } from '#lib/bytes'
import { type LocalEnclave, localPlatform } from '../../../test/support/local-tee.ts'
import {
  type AgentPin,
  createInitiator,
  createResponder,
  type HandoverError,
  type InitPin,
  type LaunchOffer,
  reportForm,
} from './index.ts'
import { encodeMessage, encodeOffer, parseMessage, parseOffer } from './message.ts'

const fill = (byte: number, length = 32) => new Uint8Array(length).fill(byte)
const DIGEST = fill(0xd1)
const CONFIG_ID = concat(DIGEST, new Uint8Array(32))
const AGENT = {
  mrEnclave: fill(0xa1),
  mrSigner: fill(0x51),
  isvProdId: 1,
  isvSvn: 3,
  configId: CONFIG_ID,
}
const INIT = {
  mrEnclave: fill(0xb1),
  mrSigner: fill(0x51),
  isvProdId: 2,
  isvSvn: 1,
  configId: CONFIG_ID,
}
const AGENT_PIN: AgentPin = { mrSigner: fill(0x51), isvProdId: 1, minIsvSvn: 2 }
const INIT_PIN: InitPin = { mrEnclave: fill(0xb1) }
const machine = localPlatform(fill(7, 16))

const launch = (containerId = 'c1'): LaunchOffer => ({
  podId: 'pod',
  containerId,
  manifestDigest: `sha256:${'0'.repeat(64)}`,
  payload: {
    layers: [{ key: fill(1), root: fill(2), header: utf8('H'), file: 'layer-0.sealed' }],
    config: utf8('{"args":[]}'),
    scratch: utf8('{}'),
  },
})

interface Setup {
  readonly agent?: LocalEnclave
  readonly init?: LocalEnclave
  readonly agentTee?: Tee
  readonly initTee?: Tee
  readonly agentPin?: AgentPin
  readonly initPin?: InitPin
}

function setup(options: Setup = {}) {
  const clock = { now: 0 }
  const responder = createResponder({
    form: reportForm(options.agentTee ?? machine.tee({ ...AGENT, ...options.agent })),
    peer: options.initPin ?? INIT_PIN,
    initDataDigest: DIGEST,
    now: () => clock.now,
  })
  const initiator = (launchId: Uint8Array) =>
    createInitiator({
      form: reportForm(options.initTee ?? machine.tee({ ...INIT, ...options.init })),
      launchId,
      peer: options.agentPin ?? AGENT_PIN,
    })
  return { clock, responder, initiator }
}

/** Runs a handover in which `relay` may change message `n` on its way. */
async function run(options: Setup = {}, relay = (_n: number, m: Uint8Array): Uint8Array => m) {
  const { responder, initiator } = setup(options)
  const launchId = responder.offer(launch())
  const init = initiator(launchId)
  const outcome = { init, responder, launchId, error: undefined as HandoverError | undefined }
  try {
    const m2 = await responder.handle(relay(1, await init.begin()))
    const m3 = await init.handle(relay(2, m2))
    const m4 = await responder.handle(relay(3, m3))
    const m5 = await init.handle(relay(4, m4))
    await responder.handle(relay(5, m5))
  } catch (error) {
    outcome.error = error as HandoverError
  }
  return outcome
}

const reason = (error: HandoverError | undefined) => (error?.cause as Error | undefined)?.message
async function refusedFor(options: Setup, because: string): Promise<void> {
  const { init, error, responder, launchId } = await run(options)
  assert.equal(error?.code, 'HANDOVER_REFUSED')
  assert.equal(reason(error), because)
  assert.equal(init.result, undefined)
  assert.notEqual(responder.state(launchId), 'SERVED')
}

test('a handover delivers keys, configuration and the identity of the container', async () => {
  const { init, responder, launchId, error } = await run()
  assert.equal(error, undefined)
  const { payload, ...names } = launch()
  assert.deepEqual(init.result, { ...payload, ...names })
  assert.equal(responder.state(launchId), 'SERVED')
})

test('a byte changed anywhere in any message ends the handover', async () => {
  const lengths: number[] = []
  await run({}, (n, m) => {
    lengths[n] = m.length
    return m
  })
  for (const [n, length] of lengths.entries()) {
    for (let at = 0; at < (length ?? 0); at++) {
      const { init, responder, launchId, error } = await run({}, (k, m) => {
        if (k !== n) return m
        const changed = m.slice()
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
        return changed
      })
      assert.ok(error !== undefined, `byte ${at} of M${n}`)
      if (n < 5) assert.equal(init.result, undefined, `byte ${at} of M${n}`)
      assert.notEqual(responder.state(launchId), 'SERVED', `byte ${at} of M${n}`)
    }
  }
})

test('a message cut or extended at its end ends the handover', async () => {
  for (let n = 1; n <= 5; n++) {
    for (const edit of [
      (m: Uint8Array) => m.subarray(0, -1),
      (m: Uint8Array) => concat(m, fill(0, 1)),
    ]) {
      const { error } = await run({}, (k, m) => (k === n ? edit(m) : m))
      assert.ok(error !== undefined, `M${n}`)
    }
  }
})

test('M4 is sent again byte for byte for the same M3, and for nothing else', async () => {
  const { responder, initiator } = setup()
  const launchId = responder.offer(launch())
  const [first, second] = [initiator(launchId), initiator(launchId)]
  const m3 = await first.handle(await responder.handle(await first.begin()))
  const otherM3 = await second.handle(await responder.handle(await second.begin()))
  const m4 = await responder.handle(m3)
  assert.deepEqual(await responder.handle(m3), m4)
  await assert.rejects(responder.handle(otherM3), { code: 'HANDOVER_SPENT' })
  await assert.rejects(responder.handle(await initiator(launchId).begin()), {
    code: 'HANDOVER_SPENT',
  })
  await responder.handle(await first.handle(m4))
  assert.equal(responder.state(launchId), 'SERVED')
  await assert.rejects(responder.handle(m3), { code: 'HANDOVER_SPENT' })
})

test('of two inits that prove themselves at the same time only one gets the keys', async () => {
  const { responder, initiator } = setup()
  const launchId = responder.offer(launch())
  const inits = [initiator(launchId), initiator(launchId)]
  const proofs: Uint8Array[] = []
  for (const init of inits)
    proofs.push(await init.handle(await responder.handle(await init.begin())))
  const answers = await Promise.allSettled(proofs.map((m3) => responder.handle(m3)))
  const lost = answers.filter((answer) => answer.status === 'rejected')
  assert.deepEqual(
    lost.map((answer) => answer.reason.code),
    ['HANDOVER_SPENT'],
  )
})

test('a launch expires after 60 s, and one that is never confirmed is lost after 30 s', async () => {
  const { responder, initiator, clock } = setup()
  const late = responder.offer(launch('late'))
  const init = initiator(late)
  const m3 = await init.handle(await responder.handle(await init.begin()))
  clock.now = 60_000
  await assert.rejects(responder.handle(m3), { code: 'HANDOVER_EXPIRED' })
  await assert.rejects(responder.handle(await initiator(late).begin()), {
    code: 'HANDOVER_EXPIRED',
  })

  const silent = responder.offer(launch('silent'))
  const other = initiator(silent)
  const proof = await other.handle(await responder.handle(await other.begin()))
  const m5 = await other.handle(await responder.handle(proof))
  assert.equal(responder.state(silent), 'SPENT')
  clock.now += 30_000
  await assert.rejects(responder.handle(m5), { code: 'HANDOVER_SPENT' })
  await assert.rejects(responder.handle(proof), { code: 'HANDOVER_SPENT' })
  assert.deepEqual(responder.sweep(), [
    { containerId: 'late', state: 'EXPIRED' },
    { containerId: 'silent', state: 'LOST' },
  ])
  assert.deepEqual(responder.sweep(), [])
})

test('eight handovers may be half open, and expired ones make room', async () => {
  const { responder, initiator, clock } = setup()
  const launchId = responder.offer(launch())
  for (let i = 0; i < 8; i++) await responder.handle(await initiator(launchId).begin())
  await assert.rejects(responder.handle(await initiator(launchId).begin()), {
    code: 'HANDOVER_BUSY',
  })
  clock.now = 60_000
  await responder.handle(await initiator(responder.offer(launch())).begin())
})

test('the half-open limit also holds for messages that arrive together', async () => {
  const { responder, initiator } = setup()
  const launchId = responder.offer(launch())
  const hellos = await Promise.all(Array.from({ length: 12 }, () => initiator(launchId).begin()))
  const answers = await Promise.allSettled(hellos.map((m1) => responder.handle(m1)))
  assert.equal(answers.filter((answer) => answer.status === 'fulfilled').length, 8)
})

test('an unknown launch is refused', async () => {
  const { responder, initiator } = setup()
  await assert.rejects(responder.handle(await initiator(fill(9)).begin()), {
    code: 'HANDOVER_UNKNOWN',
  })
})

test('messages sent back to their sender, out of order or twice are refused', async () => {
  const { responder, initiator } = setup()
  const launchId = responder.offer(launch())
  const init = initiator(launchId)
  const m1 = await init.begin()
  await assert.rejects(initiator(launchId).handle(m1), { code: 'HANDOVER_STATE' })
  const m2 = await responder.handle(m1)
  await assert.rejects(responder.handle(m2), { code: 'HANDOVER_STATE' })
  const m3 = await init.handle(m2)
  await assert.rejects(init.handle(m2), { code: 'HANDOVER_STATE' })
  const m4 = await responder.handle(m3)
  // The second M2 was the end of this init: it does not take M4 any more.
  await assert.rejects(init.handle(m4), { code: 'HANDOVER_STATE' })
  await assert.rejects(init.begin(), { code: 'HANDOVER_STATE' })
})

test('an answer recorded from another session of the same launch is refused', async () => {
  const { responder, initiator } = setup()
  const launchId = responder.offer(launch())
  const recorded = await responder.handle(await initiator(launchId).begin())
  const init = initiator(launchId)
  await init.begin()
  const error = await init.handle(recorded).catch((e) => e)
  assert.equal(reason(error), 'the report is about another conversation')
})

test('a proof cannot be moved into another session', async () => {
  const { responder, initiator } = setup()
  const launchId = responder.offer(launch())
  const [a, b] = [initiator(launchId), initiator(launchId)]
  const m3a = parseMessage(await a.handle(await responder.handle(await a.begin())))
  const m3b = parseMessage(await b.handle(await responder.handle(await b.begin())))
  assert.ok(m3a.type === 3 && m3b.type === 3)
  const spliced = encodeMessage({ ...m3a, session: m3b.session })
  const error = await responder.handle(spliced).catch((e) => e)
  assert.equal(reason(error), 'the report is about another conversation')
  const halfSpliced = encodeMessage({ ...m3a, proof: m3b.proof })
  assert.equal(reason(await responder.handle(halfSpliced).catch((e) => e)), 'F is wrong')
})

test('keys of one container do not open in the init of another', async () => {
  const { responder, initiator } = setup()
  const [mine, other] = [responder.offer(launch('mine')), responder.offer(launch('other'))]
  const init = initiator(mine)
  // The host exchanges the launch id on the way to the agent.
  const m1 = (await init.begin()).slice()
  m1.set(other, 2)
  const error = await init.handle(await responder.handle(m1)).catch((e) => e)
  assert.equal(error.code, 'HANDOVER_REFUSED')
  const honest = initiator(mine)
  const m4 = await responder.handle(
    await honest.handle(await responder.handle(await honest.begin())),
  )
  const second = initiator(other)
  await second.handle(await responder.handle(await second.begin()))
  await assert.rejects(second.handle(m4), { code: 'HANDOVER_REFUSED' })
})

test('an edited container name in the offer is noticed', async () => {
  const { error } = await run({}, (n, m) => {
    if (n !== 2) return m
    const message = parseMessage(m)
    assert.ok(message.type === 2)
    const b2 = encodeOffer({
      ...parseOffer(message.b2, { code: 1, targetInfoSize: 512 }),
      containerId: 'cX',
    })
    return encodeMessage({ ...message, b2 })
  })
  assert.equal(reason(error), 'the report is about another conversation')
})

test('a TARGETINFO that is not that of the reporting enclave is refused on both sides', async () => {
  const edited = (enclave: LocalEnclave): Tee => {
    const tee = machine.tee(enclave)
    return {
      ...tee,
      async targetInfo() {
        const info = await tee.targetInfo()
        info[50] = 1 // CONFIGSVN
        return info
      },
      verifyReport: async () => true,
    }
  }
  const because = 'TARGETINFO is not that of the reporting enclave'
  await refusedFor({ agentTee: edited(AGENT) }, because)
  await refusedFor({ initTee: edited(INIT) }, because)
})

test('reports of another machine are refused on both sides', async () => {
  const elsewhere = localPlatform(fill(8, 16))
  await refusedFor({ agentTee: elsewhere.tee(AGENT) }, 'the report was not made for us here')
  const forged: Tee = { ...elsewhere.tee(INIT), verifyReport: async () => true }
  await refusedFor({ initTee: forged }, 'the report was not made for us here')
})

test('init accepts no agent of another signer, product or version', async () => {
  await refusedFor({ agent: { mrSigner: fill(0x52) } }, 'the agent has another signer')
  await refusedFor({ agent: { isvProdId: 2 } }, 'the agent is another product')
  await refusedFor({ agent: { isvSvn: 1 } }, 'the agent is too old')
})

test('the agent accepts no other program than its init', async () => {
  await refusedFor({ init: { mrEnclave: fill(0xb2) } }, 'TI_I names another enclave')
  const liar = machine.tee({ ...INIT, mrEnclave: fill(0xb2) })
  const target = await machine.tee(INIT).targetInfo()
  const posing: Tee = { ...liar, targetInfo: async () => target, verifyReport: async () => true }
  await refusedFor({ initTee: posing }, 'TARGETINFO is not that of the reporting enclave')
})

test('a debug enclave is refused on both sides unless the manifest allows it', async () => {
  const flags = FLAGS.INIT | FLAGS.KSS | FLAGS.MODE64BIT | FLAGS.DEBUG
  await refusedFor({ agent: { flags } }, 'the peer is a debug enclave')
  await refusedFor({ init: { flags } }, 'the peer is a debug enclave')
  const { error } = await run({
    agent: { flags },
    init: { flags },
    agentPin: { ...AGENT_PIN, allowDebug: true },
    initPin: { ...INIT_PIN, allowDebug: true },
  })
  assert.equal(error, undefined)
})

test('a peer without KSS or not initialised is refused: its CONFIGID says nothing', async () => {
  await refusedFor({ agent: { flags: FLAGS.INIT } }, 'the peer has no KSS')
  await refusedFor({ init: { flags: FLAGS.INIT } }, 'the peer has no KSS')
  await refusedFor({ init: { flags: FLAGS.KSS } }, 'the peer is not initialised')
})

test('enclaves of different owners refuse each other', async () => {
  const configId = concat(fill(0xd2), new Uint8Array(32))
  await refusedFor({ init: { configId } }, 'the peer has other init-data')
  await refusedFor({ agent: { configId } }, 'the init-data are not those of this enclave')
})

test('whatever of a served launch is replayed finds it spent', async () => {
  const seen: Uint8Array[] = []
  const { responder, launchId } = await run({}, (n, m) => {
    seen[n] = m
    return m
  })
  assert.equal(responder.state(launchId), 'SERVED')
  for (const n of [1, 3, 5]) {
    await assert.rejects(responder.handle(seen[n] ?? fill(0)), { code: 'HANDOVER_SPENT' }, `M${n}`)
  }
})

test('a public key of small order ends the handover', async () => {
  const { error } = await run({}, (n, m) => {
    if (n !== 1) return m
    const changed = m.slice()
    changed.fill(0, 2 + 64, 2 + 96)
    return changed
  })
  assert.equal(error?.code, 'HANDOVER_REFUSED')
})

test('keys are wiped when a launch expires and when the agent closes', () => {
  const { responder, clock } = setup()
  const offer = launch()
  const launchId = responder.offer(offer)
  clock.now = 60_000
  assert.equal(responder.state(launchId), 'EXPIRED')
  responder.close()
  assert.equal(responder.state(launchId), undefined)
  // What the caller gave stays the caller's.
  assert.equal(toHex(offer.payload.layers[0]?.key ?? fill(0)), toHex(fill(1)))
})

test('a launch whose time ends while a message of it is judged is not served', async () => {
  const tee = machine.tee(AGENT)
  let during = (): void => {}
  let reports = 0
  const agentTee: Tee = {
    ...tee,
    report: async (...input) => {
      reports++
      during()
      return tee.report(...input)
    },
    verifyReport: async (report) => {
      during()
      return tee.verifyReport(report)
    },
  }
  const { responder, initiator, clock } = setup({ agentTee })
  const first = responder.offer(launch('first'))
  during = () => {
    clock.now = 60_000
    responder.sweep()
  }
  await assert.rejects(responder.handle(await initiator(first).begin()), {
    code: 'HANDOVER_EXPIRED',
  })
  // Nor does one that is over cost another report.
  const made = reports
  await assert.rejects(responder.handle(await initiator(first).begin()), {
    code: 'HANDOVER_EXPIRED',
  })
  assert.equal(reports, made)

  during = () => {}
  const second = responder.offer(launch('second'))
  const init = initiator(second)
  const m3 = await init.handle(await responder.handle(await init.begin()))
  during = () => {
    clock.now = 120_000
  }
  await assert.rejects(responder.handle(m3), { code: 'HANDOVER_EXPIRED' })
  assert.equal(responder.state(second), 'EXPIRED')
})

test('an init that is closed, or asked for more, keeps no key of what it was given', async () => {
  for (const end of ['close', 'again'] as const) {
    let m4: Uint8Array = fill(0)
    const { init, error } = await run({}, (n, m) => {
      if (n === 4) m4 = new Uint8Array(m)
      return m
    })
    assert.equal(error, undefined)
    const keys = init.result?.layers.map(({ key }) => key)
    assert.deepEqual(keys, [fill(1)])
    if (end === 'close') init.close()
    else await assert.rejects(init.handle(m4), { code: 'HANDOVER_STATE' })
    assert.deepEqual(keys, [fill(0)])
    await assert.rejects(init.begin(), { code: 'HANDOVER_STATE' })
  }
})

test('an init that failed or was closed while it judged a message does not go on', async () => {
  for (const end of ['close', 'again'] as const) {
    const { responder, initiator } = setup()
    const init = initiator(responder.offer(launch()))
    const m2 = await responder.handle(await init.begin())
    const first = init.handle(m2)
    if (end === 'close') init.close()
    else await assert.rejects(init.handle(m2), { code: 'HANDOVER_STATE' })
    await assert.rejects(first, { code: 'HANDOVER_STATE' })
    await assert.rejects(init.handle(m2), { code: 'HANDOVER_STATE' })
  }
})
