// The simulated platform over decades: what it certifies itself with is made anew, and nothing else changes.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { after, test } from 'node:test'
import { parseCollateral, parseTrustAnchor, type QuoteResult, verifyQuote } from '#lib/attest'
import { utf8 } from '#lib/bytes'
import { openSimTee } from '../../src/enclave/tee/index.ts'
import { openPlatform, type Secs, type SimPlatform } from '../../src/host/launcher/sim/index.ts'

const base = mkdtempSync(join(tmpdir(), 'sim-certificates-'))
after(() => rmSync(base, { recursive: true, force: true }))

const BORN = Date.UTC(2026, 5, 1)
const YEAR = 365 * 86_400_000
const SECS: Secs = {
  mrEnclave: new Uint8Array(32).fill(0xaa),
  mrSigner: new Uint8Array(32).fill(0xbb),
  configId: new Uint8Array(64),
  isvProdId: 1,
  isvSvn: 1,
  debug: false,
}

let count = 0
function machine() {
  const directory = join(base, `node-${++count}`)
  const clock = { now: BORN }
  const boot = (): Promise<SimPlatform> => openPlatform(directory, { now: () => clock.now })
  return { directory, clock, boot }
}

/** The verdict of somebody who was told the root when the machine was new. */
async function judge(platform: SimPlatform, root: string, now: number): Promise<QuoteResult> {
  const [enclave, device] = duplexPair()
  platform.serve(device, SECS)
  const tee = openSimTee(enclave)
  const quote = await tee.quote(new Uint8Array(64))
  const collateral = parseCollateral(await tee.collateral?.())
  enclave.destroy()
  return verifyQuote({
    quote,
    collateral,
    anchors: [parseTrustAnchor(utf8(root))],
    now: new Date(now),
  })
}

test('certificates are made anew in their last year, under the same root and for the same keys', async () => {
  const { clock, boot } = machine()
  const first = await boot()
  const root = first.exportRoot()
  const [young, key] = [(await first.show()).pckSerial, (await judge(first, root, BORN)).evidence]
  clock.now = BORN + 5.9 * YEAR
  assert.equal((await (await boot()).show()).pckSerial, young, 'not before')
  const serials = new Set([young])
  // Each of these is beyond the life of the certificates that were there before.
  for (const years of [6.5, 13, 19.5]) {
    clock.now = BORN + years * YEAR
    const later = await boot()
    assert.equal(later.exportRoot(), root)
    const verdict = await judge(later, root, clock.now)
    assert.equal(verdict.accepted, true, `${years}: ${verdict.message}`)
    assert.deepEqual(verdict.evidence?.pckKey, key?.pckKey)
    serials.add((await later.show()).pckSerial)
  }
  assert.equal(serials.size, 4)
})

test('a process that runs on keeps its certificates, and its collateral serves the others', async () => {
  const { clock, boot } = machine()
  const old = await boot()
  const root = old.exportRoot()
  clock.now = BORN + 6.5 * YEAR
  const renewed = await boot()
  for (const platform of [old, renewed, old, renewed]) {
    assert.equal((await judge(platform, root, clock.now)).code, undefined)
  }
  const { number } = (await renewed.show()).collateral
  await judge(old, root, clock.now)
  assert.equal(
    (await renewed.show()).collateral.number,
    number,
    'they do not issue against each other',
  )
  // The machine is revoked, whichever certificate it shows.
  await old.rehearse({ pck: 'revoked' })
  for (const platform of [old, renewed]) {
    assert.equal((await judge(platform, root, clock.now)).code, 'PCK_REVOKED')
  }
  await renewed.rehearse({ pck: 'valid' })
  assert.equal((await judge(old, root, clock.now)).code, undefined)
})

test('a machine that was revoked stays so when it gets new certificates, expired collateral or not', async () => {
  const { clock, boot } = machine()
  const old = await boot()
  const root = old.exportRoot()
  // Of rehearsed expiry nothing is renewed for its age.
  clock.now = BORN + 6.4 * YEAR - 1
  const { number } = (await old.rehearse({ pck: 'revoked', collateral: 'tcb-info-expired' }))
    .collateral
  clock.now += YEAR / 100
  const renewed = await boot()
  assert.equal((await judge(renewed, root, clock.now)).code, 'PCK_REVOKED')
  assert.equal((await renewed.show()).collateral.number, number + 1)
})

test('of several processes that start at once all get the same new certificates', async () => {
  const { directory, clock, boot } = machine()
  await boot()
  clock.now = BORN + 7.5 * YEAR
  const platforms = await Promise.all([1, 2, 3, 4].map(boot))
  const serials = await Promise.all(platforms.map(async (one) => (await one.show()).pckSerial))
  assert.equal(new Set(serials).size, 1)
  const files = readdirSync(directory).filter((name) => name.startsWith('certificates-'))
  assert.deepEqual(files, ['certificates-0000000001.json'])
})

test('a clock that was far ahead leaves no machine without certificates', async () => {
  const { clock, boot } = machine()
  const root = (await boot()).exportRoot()
  clock.now = BORN + 10 * YEAR
  await boot()
  clock.now = BORN + YEAR
  assert.equal((await judge(await boot(), root, clock.now)).code, undefined)
})

test('a file of certificates that cannot be read is damage, not a reason to go without', async () => {
  const { directory, boot } = machine()
  await boot()
  const options = { mode: 0o600 }
  writeFileSync(join(directory, 'certificates-0000000001.json'), '{"version":1}\n', options)
  await assert.rejects(boot(), { code: 'PLATFORM_DAMAGED' })
})
