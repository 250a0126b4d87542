import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  type CollateralSet,
  encodeChain,
  intelSgxRoot,
  verifyQuote,
  verifyTdQuote,
} from '#lib/attest'
import { toHex, utf8 } from '#lib/bytes'
import { encodePem, splitPem } from '#lib/x509'
import { type Pccs, type ServedSet, startPccs } from '../../../test/support/pccs.ts'
import { readVector, sgxCase } from '../../../test/support/sgx-vectors.ts'
import { type RefreshOptions, refreshCollateral } from './collateral-fetch.ts'
import { readSet } from './collateral-store.ts'

const DAY = 86_400_000
const AT = Date.parse('2025-07-04T10:28:44Z')
const PROCESSOR = sgxCase('sgx-00a067110000-jun25')
const TDX = sgxCase('tdx-b0c06f000000-jun25')

function served(name: string, fmspc: string, ca: ServedSet['ca']): ServedSet {
  const { input, expected } = sgxCase(name)
  const { pckCertChain } = input.collateral
  // Leaf, authority and root: without the first it is the issuer chain.
  const pckCrlIssuerChain = pckCertChain
    ? utf8(encodeChain(...splitPem(pckCertChain, 'CERTIFICATE', 3).slice(1)))
    : readVector(name, 'pckCrlIssuerChain.pem')
  const set: CollateralSet = { ...input.collateral, pckCrlIssuerChain }
  return { tee: expected.tee === 'TDX' ? 'tdx' : 'sgx', fmspc, ca, set }
}

const SERVED = served(PROCESSOR.name, '00A067110000', 'processor')

interface World {
  readonly directory: string
  readonly pccs: Pccs
  fetch(options?: Partial<RefreshOptions>): ReturnType<typeof refreshCollateral>
}

async function world(t: TestContext, quote: Uint8Array, ...sets: ServedSet[]): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'collateral-'))
  t.after(() => rm(directory, { recursive: true }))
  const pccs = startPccs(sets)
  const service = {
    base: new URL('https://pccs.example:8081'),
    transport: pccs.transport,
    signal: new AbortController().signal,
  }
  const base = { update: 'standard', anchors: [intelSgxRoot()], now: AT, ahead: 7 * DAY } as const
  return {
    directory,
    pccs,
    fetch: (options = {}) =>
      refreshCollateral({ directory, service, ...base, force: false, quote, ...options }),
  }
}

async function stored(directory: string): Promise<CollateralSet> {
  const set = await readSet(directory)
  assert.ok(set)
  return set
}

test('collateral fetch fills a directory that then verifies the quote', async (t) => {
  const { quote } = PROCESSOR.input
  const { directory, fetch, pccs } = await world(t, quote, SERVED)
  const { facts, fetched } = await fetch()
  assert.equal(fetched, true)
  assert.deepEqual([facts.tee, facts.fmspc, facts.ca], ['sgx', '00a067110000', 'processor'])
  assert.equal(facts.platform, 'sgx')
  assert.equal(facts.tcbInfoNumber, 17)
  const collateral = await stored(directory)
  const result = verifyQuote({ ...PROCESSOR.input, collateral, now: new Date(AT) })
  assert.equal(result.verified, true, `${result.message}`)
  assert.deepEqual(
    pccs.requests.map((url) => url.pathname + url.search),
    [
      '/sgx/certification/v4/tcb?fmspc=00A067110000&update=standard',
      '/sgx/certification/v4/qe/identity?update=standard',
      '/sgx/certification/v4/pckcrl?ca=processor&encoding=der',
      '/sgx/certification/v4/rootcacrl',
    ],
  )
  assert.deepEqual(
    (await readdir(directory)).filter((name) => name.startsWith('.')),
    [],
    'no temporary file stays',
  )
})

test('what lasts is kept without a request; what ends soon is fetched ahead', async (t) => {
  const { fetch, pccs } = await world(t, PROCESSOR.input.quote, SERVED)
  const { facts } = await fetch()
  pccs.requests.length = 0
  assert.equal((await fetch()).fetched, false)
  assert.equal((await fetch({ now: facts.expires - 7 * DAY })).fetched, false)
  assert.equal(pccs.requests.length, 0)
  assert.equal((await fetch({ now: facts.expires - 7 * DAY + 1 })).fetched, true)
  assert.equal((await fetch({ force: true })).fetched, true)
  // The cache alone decides nothing: expired answers are refused.
  await assert.rejects(fetch({ now: facts.expires + 1 }), { code: /_EXPIRED$/ })
})

test('collateral fetch asks for the authority that issued the PCK certificate', async (t) => {
  const name = 'sgx-00606a000000-jun25-eval17'
  const now = Date.parse('2025-06-27T22:51:32Z')
  const platform = served(name, '00606A000000', 'platform')
  const { fetch, pccs } = await world(t, sgxCase(name).input.quote, SERVED, platform)
  assert.equal((await fetch({ now })).facts.ca, 'platform')
  assert.ok(pccs.requests.some((url) => url.searchParams.get('ca') === 'platform'))
})

test('early and standard answers differ, and none is replaced by an older one', async (t) => {
  const name = 'sgx-00606a000000-jun25-eval17'
  const now = Date.parse('2025-06-27T22:51:32Z')
  const early = served('sgx-00606a000000-jun25-eval18', '00606A000000', 'platform')
  const both = { ...served(name, '00606A000000', 'platform'), early: early.set }
  const { directory, fetch } = await world(t, sgxCase(name).input.quote, both)
  assert.equal((await fetch({ now })).facts.tcbInfoNumber, 17)
  const newer = await fetch({ now, update: 'early', force: true })
  assert.equal(newer.facts.tcbInfoNumber, 18)
  await assert.rejects(fetch({ now, force: true }), { code: 'COLLATERAL_ROLLBACK' })
  assert.deepEqual((await stored(directory)).tcbInfo, early.set.tcbInfo)
})

test('collateral fetch finds documents of TDX under the paths of TDX', async (t) => {
  const { quote, anchors } = TDX.input
  const set = served(TDX.name, 'B0C06F000000', 'platform')
  const { directory, fetch, pccs } = await world(t, quote, SERVED, set)
  const now = Date.parse('2025-07-04T10:16:31Z')
  assert.equal((await fetch({ now })).facts.tee, 'tdx')
  assert.equal(pccs.requests[0]?.pathname, '/tdx/certification/v4/tcb')
  const collateral = await stored(directory)
  const result = verifyTdQuote({ quote, anchors, collateral, now: new Date(now) })
  assert.equal(result.accepted, true, `${result.message}`)
})

test('collateral fetch gets the PCK chain for a quote that names its platform only', async (t) => {
  const name = 'testroot-sgx-tcbv2'
  const { input } = sgxCase(name)
  const now = Date.parse('2024-01-01T00:00:00Z')
  const set = {
    ...served(name, '00707F000000', 'processor'),
    pckChain: readVector(name, 'pckCertChain.pem'),
  }
  const { directory, fetch, pccs } = await world(t, input.quote, set)
  await fetch({ now, anchors: input.anchors })
  const asked = pccs.requests.find((url) => url.pathname.endsWith('/pckcert'))
  assert.match(`${asked?.searchParams.get('qeid')}`, /^[0-9a-f]{32}$/)
  assert.equal(asked?.searchParams.get('pceid'), '0000')
  const collateral = await stored(directory)
  const result = verifyQuote({ ...input, collateral, now: new Date(now) })
  assert.equal(result.verified, true, `${result.message}`)
  pccs.requests.length = 0
  assert.equal((await fetch({ now, anchors: input.anchors })).fetched, false)
  assert.equal(pccs.requests.length, 0)
})

test('a PCK chain from a service is verified before it is stored, and a broken one replaced', async (t) => {
  const name = 'testroot-sgx-tcbv2'
  const { input } = sgxCase(name)
  const options = { now: Date.parse('2024-01-01T00:00:00Z'), anchors: input.anchors }
  const pckChain = readVector(name, 'pckCertChain.pem')
  const set = { ...served(name, '00707F000000', 'processor'), pckChain }
  const { directory, fetch, pccs } = await world(t, input.quote, set)
  pccs.edit = (url, answer) => {
    if (!url.pathname.endsWith('/pckcert')) return answer
    // A certificate of another key, with the right names.
    const [leaf = new Uint8Array()] = splitPem(answer.body, 'CERTIFICATE', 1)
    const at = leaf.length - 1
    return { ...answer, body: utf8(encodeChain(leaf.with(at, (leaf[at] ?? 0) ^ 1))) }
  }
  await assert.rejects(fetch(options), { code: 'CHAIN_SIGNATURE' })
  assert.deepEqual(await readdir(directory), [])
  pccs.edit = (_, answer) => answer
  await fetch(options)
  const path = join(directory, 'pckCertChain.pem')
  const whole = await readFile(path)
  await writeFile(path, whole.subarray(0, 100))
  assert.equal((await fetch(options)).fetched, true)
  assert.deepEqual(await readFile(path), whole)
  pccs.requests.length = 0
  await fetch({ ...options, force: true })
  assert.ok(pccs.requests.some((url) => url.pathname.endsWith('/pckcert')))
})

test('collateral fetch takes a family of platforms without a quote', async (t) => {
  const { pccs, fetch } = await world(t, PROCESSOR.input.quote, SERVED)
  const family = {
    tee: 'sgx',
    fmspc: new Uint8Array([0x00, 0xa0, 0x67, 0x11, 0, 0]),
    ca: 'processor',
  } as const
  assert.equal((await fetch({ family })).fetched, true)
  assert.equal(pccs.requests.length, 4)
})

test('collateral fetch reads CRLs as DER, PEM and hexadecimal text', async (t) => {
  const { directory, fetch, pccs } = await world(t, PROCESSOR.input.quote, SERVED)
  const { pckCrl } = SERVED.set
  for (const body of [pckCrl, utf8(toHex(pckCrl)), utf8(encodePem(pckCrl, 'X509 CRL'))]) {
    pccs.edit = (url, answer) => (url.pathname.endsWith('pckcrl') ? { ...answer, body } : answer)
    await fetch({ force: true })
    assert.deepEqual((await stored(directory)).pckCrl, pckCrl)
  }
})

test('collateral fetch stores nothing that a false service answers', async (t) => {
  const other = served('sgx-00606a000000-jun25-eval17', '00A067110000', 'processor')
  type Edit = Pccs['edit']
  const at =
    (path: string, change: (answer: ReturnType<Edit>) => ReturnType<Edit>): Edit =>
    (url, answer) =>
      url.pathname.endsWith(path) ? change(answer) : answer
  const cases: readonly (readonly [what: string, code: string | RegExp, edit: Edit])[] = [
    [
      'edited TCB info',
      'TCB_INFO_SIGNATURE',
      at('/tcb', (answer) => {
        const text = new TextDecoder().decode(answer.body)
        return { ...answer, body: utf8(text.replace('OutOfDate', 'UpToDate')) }
      }),
    ],
    [
      'TCB info of another platform',
      'TCB_INFO_MISMATCH',
      at('/tcb', (answer) => ({ ...answer, body: other.set.tcbInfo })),
    ],
    [
      'the CRL of another authority',
      'CRL_ISSUER',
      at('/pckcrl', (answer) => ({ ...answer, body: other.set.pckCrl })),
    ],
    ['no CRL', 'CRL_FORMAT', at('/rootcacrl', (answer) => ({ ...answer, body: utf8('nothing') }))],
    ['nothing known', 'COLLATERAL_NOT_FOUND', at('/tcb', (answer) => ({ ...answer, status: 404 }))],
    ['an error', 'COLLATERAL_UNAVAILABLE', at('/tcb', (answer) => ({ ...answer, status: 503 }))],
    [
      'no issuer chain',
      'COLLATERAL_UNAVAILABLE',
      at('/tcb', (answer) => ({ ...answer, headers: {} })),
    ],
    [
      'a chain that is not encoded well',
      'COLLATERAL_UNAVAILABLE',
      at('/tcb', (answer) => ({ ...answer, headers: { 'tcb-info-issuer-chain': '%zz' } })),
    ],
    [
      'endless bytes',
      'COLLATERAL_UNAVAILABLE',
      at('/tcb', (answer) => ({ ...answer, body: new Uint8Array(1024 * 1024 + 1) })),
    ],
  ]
  for (const [what, code, edit] of cases) {
    const { directory, fetch, pccs } = await world(t, PROCESSOR.input.quote, SERVED)
    pccs.edit = edit
    await assert.rejects(fetch(), { code }, what)
    assert.deepEqual(await readdir(directory), [], what)
  }
})

test('a stored set that was damaged is fetched again', async (t) => {
  const { directory, fetch } = await world(t, PROCESSOR.input.quote, SERVED)
  await fetch()
  for (const name of ['tcbInfo.json', 'pckCrl.der', 'pckCrlIssuerChain.pem']) {
    const path = join(directory, name)
    const whole = await readFile(path)
    await writeFile(path, whole.subarray(0, 100))
    assert.equal((await fetch()).fetched, true, name)
    assert.deepEqual(await readFile(path), whole)
  }
})

test('without quote and family it says what is missing', async (t) => {
  const { directory, pccs } = await world(t, PROCESSOR.input.quote, SERVED)
  const service = {
    base: new URL('https://pccs.example'),
    transport: pccs.transport,
    signal: new AbortController().signal,
  }
  const options = { update: 'standard', anchors: [], now: AT, ahead: 0, force: false } as const
  await assert.rejects(refreshCollateral({ directory, service, ...options }), { code: 'USAGE' })
  assert.equal(pccs.requests.length, 0)
})
