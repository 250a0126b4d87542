import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { fromBase64, fromUtf8 } from '#lib/bytes'
import { object, parseJson, string } from '#lib/json'
import { parseCrl } from '#lib/x509'
import { NORMAL, openPlatform, type SimPlatform } from './index.ts'
import { parseRehearsal } from './rehearsal.ts'

const DAY = 86_400_000
const base = mkdtempSync(join(tmpdir(), 'sim-platform-'))
after(() => rmSync(base, { recursive: true, force: true }))

let count = 0
function fresh(): string {
  count++
  return join(base, `node-${count}`, 'platform')
}

async function collateral(platform: SimPlatform): Promise<Record<string, string>> {
  const document = object(parseJson(await platform.collateral()), 'collateral')
  return Object.fromEntries(Object.entries(document).map(([k, v]) => [k, string(v, k)]))
}

async function crlNumber(platform: SimPlatform): Promise<number> {
  const crl = (await collateral(platform)).pckCrl ?? ''
  return Number.parseInt(parseCrl(fromBase64(crl, 'pckCrl')).number, 16)
}

test('openPlatform() creates a directory that its user alone can enter and read', async () => {
  const directory = fresh()
  await openPlatform(directory)
  assert.equal(statSync(directory).mode & 0o7777, 0o700)
  const names = readdirSync(directory).toSorted()
  assert.deepEqual(names, ['authority.json', 'device.json', 'issue-0000000001.json'])
  for (const name of names) assert.equal(statSync(join(directory, name)).mode & 0o7777, 0o600)
  assert.deepEqual(readdirSync(join(directory, '..')), ['platform'])
})

test('openPlatform() finds the same platform again, also in an empty directory made before', async () => {
  const directory = fresh()
  mkdirSync(directory, { recursive: true })
  const first = await openPlatform(directory)
  const again = await openPlatform(directory)
  assert.equal(again.exportRoot(), first.exportRoot())
  assert.deepEqual(await again.show(), await first.show())
})

test('two platforms share no key, serial or identity', async () => {
  const [one, two] = [await openPlatform(fresh()), await openPlatform(fresh())]
  const [a, b] = [await one.show(), await two.show()]
  assert.notEqual(a.root.publicKeySha256, b.root.publicKeySha256)
  assert.notEqual(a.ppid, b.ppid)
  assert.notEqual(a.platformInstanceId, b.platformInstanceId)
  assert.notEqual(a.pckSerial, b.pckSerial)
})

test('of many creators at once one wins, all get its platform, no draft stays', async () => {
  const directory = fresh()
  const platforms = await Promise.all(Array.from({ length: 6 }, () => openPlatform(directory)))
  assert.equal(new Set(platforms.map((p) => p.exportRoot())).size, 1)
  assert.deepEqual(readdirSync(join(directory, '..')), ['platform'])
})

test('processes that create a platform at once get one platform', async () => {
  const directory = fresh()
  const script = `const { openPlatform } = await import(process.argv[1])
    process.stdout.write((await openPlatform(process.argv[2])).exportRoot())`
  const module = join(import.meta.dirname, 'index.ts')
  const roots = await Promise.all(
    [1, 2, 3].map(() => node(['--input-type=module', '-e', script, module, directory])),
  )
  assert.equal(new Set(roots).size, 1)
  assert.match(roots[0] ?? '', /^-----BEGIN CERTIFICATE-----/)
})

test('opening an existing platform and its collateral does not load the certificate library', async () => {
  const directory = fresh()
  await openPlatform(directory)
  const script = `const { openPlatform } = await import(process.argv[1])
    const { createRequire } = await import('node:module')
    await (await openPlatform(process.argv[2])).collateral()
    const loaded = Object.keys(createRequire(process.argv[1]).cache)
    process.stdout.write(String(loaded.filter((f) => /peculiar|reflect-metadata/.test(f)).length))`
  const module = join(import.meta.dirname, 'index.ts')
  assert.equal(await node(['--input-type=module', '-e', script, module, directory]), '0')
})

for (const [what, spoil] of [
  ['its directory is open to the group', (d: string) => chmodSync(d, 0o750)],
  ['its secrets are readable by others', (d: string) => chmodSync(join(d, 'device.json'), 0o604)],
] as const) {
  test(`openPlatform() refuses a platform if ${what}`, async () => {
    const directory = fresh()
    await openPlatform(directory)
    spoil(directory)
    await assert.rejects(openPlatform(directory), { code: 'PLATFORM_PERMISSIONS' })
  })
}

test('openPlatform() refuses a directory that is a link, and a file that is one', async () => {
  const directory = fresh()
  await openPlatform(directory)
  symlinkSync(directory, `${directory}-link`)
  await assert.rejects(openPlatform(`${directory}-link`), { code: 'PLATFORM_DAMAGED' })
  const file = join(directory, 'device.json')
  const other = join(directory, 'other.json')
  writeFileSync(other, readFileSync(file), { mode: 0o600 })
  rmSync(file)
  symlinkSync(other, file)
  await assert.rejects(openPlatform(directory), { code: 'PLATFORM_DAMAGED' })
})

test('openPlatform() refuses damaged files, and its message repeats nothing of them', async () => {
  for (const content of ['', '{"version":1,"secrets":"c2VjcmV0"}', '{"version":2}']) {
    const directory = fresh()
    await openPlatform(directory)
    writeFileSync(join(directory, 'device.json'), content)
    await assert.rejects(openPlatform(directory), (error: Error) => {
      assert.equal((error as Error & { code?: string }).code, 'PLATFORM_DAMAGED')
      assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /c2VjcmV0/)
      return true
    })
  }
})

test('a directory that holds something else is not made a platform', async () => {
  const directory = fresh()
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  writeFileSync(join(directory, 'notes.txt'), 'mine', { mode: 0o600 })
  await assert.rejects(openPlatform(directory), { code: 'PLATFORM_DAMAGED' })
  assert.deepEqual(readdirSync(directory), ['notes.txt'])
})

test('exportRoot() is the self-signed root and says that it is not Intel’s', async () => {
  const root = new X509Certificate((await openPlatform(fresh())).exportRoot())
  assert.equal(root.verify(root.publicKey), true)
  assert.match(root.subject, /^CN=Intel SGX Root CA\nO=enclave-cc Simulated SGX \(not Intel\)\n/)
})

test('collateral is renewed at half its life and its numbers only grow', async () => {
  let now = Date.UTC(2026, 5, 1)
  const platform = await openPlatform(fresh(), { now: () => now })
  assert.equal(await crlNumber(platform), 1)
  now += 14 * DAY
  assert.equal(await crlNumber(platform), 1)
  now += 2 * DAY
  assert.equal(await crlNumber(platform), 2)
  assert.equal(await crlNumber(platform), 2)
  const { collateral: issue } = await platform.show()
  assert.equal(issue.tcbEvaluationDataNumber, 17)
  assert.equal(Date.parse(issue.validUntil) > now + 29 * DAY, true)
})

test('collateral is made anew after the clock was set back', async () => {
  let now = Date.UTC(2026, 5, 1)
  const platform = await openPlatform(fresh(), { now: () => now })
  now -= DAY
  assert.equal(await crlNumber(platform), 2)
})

test('only the newest issues stay on disk', async () => {
  let now = Date.UTC(2026, 5, 1)
  const directory = fresh()
  const platform = await openPlatform(directory, { now: () => now })
  for (let i = 0; i < 4; i++) {
    now += 20 * DAY
    await platform.collateral()
  }
  const issues = readdirSync(directory).filter((name) => name.startsWith('issue-'))
  assert.deepEqual(issues.toSorted(), ['issue-0000000004.json', 'issue-0000000005.json'])
})

test('rehearse() changes the platform for every process, keeps what it does not name, can go back', async () => {
  const directory = fresh()
  const [one, other] = [await openPlatform(directory), await openPlatform(directory)]
  await one.rehearse({ tcb: 'out-of-date' })
  const set = await one.rehearse({ pck: 'revoked' })
  assert.deepEqual(set.rehearsal, {
    ...NORMAL,
    tcb: 'out-of-date',
    pck: 'revoked',
  })
  assert.deepEqual((await other.show()).rehearsal, set.rehearsal)
  assert.equal(await crlNumber(other), 3)
  const back = await other.rehearse({ tcb: 'up-to-date', pck: 'valid' })
  assert.equal(back.collateral.number, 4)
  assert.equal(back.collateral.tcbEvaluationDataNumber, 19)
  const same = await other.rehearse({ tcb: 'up-to-date' })
  assert.equal(same.collateral.number, 4)
})

test('changes made at once are all kept', async () => {
  const directory = fresh()
  const platforms = await Promise.all([1, 2, 3].map(() => openPlatform(directory)))
  await Promise.all([
    platforms[0]?.rehearse({ tcb: 'revoked' }),
    platforms[1]?.rehearse({ pck: 'revoked' }),
    platforms[2]?.rehearse({ debug: true }),
  ])
  const { rehearsal } = await (await openPlatform(directory)).show()
  assert.deepEqual(rehearsal, { ...NORMAL, tcb: 'revoked', pck: 'revoked', debug: true })
})

test('a rehearsal that an earlier version wrote still reads, and pretends nothing more', () => {
  const old = { tcb: 'up-to-date', pck: 'revoked', collateral: 'current', debug: false }
  assert.deepEqual(parseRehearsal(old), { ...NORMAL, pck: 'revoked' })
  assert.throws(() => parseRehearsal({ ...old, pckCa: 'maybe' }), { name: 'FormatError' })
})

test('rehearsed expiry is not renewed away', async () => {
  let now = Date.UTC(2026, 5, 1)
  const platform = await openPlatform(fresh(), { now: () => now })
  const { collateral: issue } = await platform.rehearse({ collateral: 'expired' })
  assert.equal(Date.parse(issue.validUntil) < now, true)
  now += 20 * DAY
  assert.equal(await crlNumber(platform), issue.number)
  const current = await platform.rehearse({ collateral: 'current' })
  assert.equal(Date.parse(current.collateral.validUntil) > now, true)
})

test('one part that has expired is the end of the whole issue, as it is shown', async () => {
  const now = Date.UTC(2026, 5, 1)
  const platform = await openPlatform(fresh(), { now: () => now })
  for (const part of ['crl', 'tcb-info', 'qe-identity'] as const) {
    const { collateral } = await platform.rehearse({ collateral: `${part}-expired` })
    assert.equal(Date.parse(collateral.validUntil) < now, true, part)
  }
})

test('a recovery of the quoting enclave raises the evaluation number as one of the platform does', async () => {
  const platform = await openPlatform(fresh())
  const { tcbEvaluationDataNumber: first } = (await platform.show()).collateral
  const numberAfter = async (change: Parameters<SimPlatform['rehearse']>[0]): Promise<number> =>
    (await platform.rehearse(change)).collateral.tcbEvaluationDataNumber
  assert.equal(await numberAfter({ qe: 'out-of-date' }), first + 1)
  assert.equal(await numberAfter({ pckCa: 'revoked' }), first + 1)
  assert.equal(await numberAfter({ qe: 'up-to-date' }), first + 2)
})

test('show() and the collateral hold no secret of the platform', async () => {
  const directory = fresh()
  const platform = await openPlatform(directory)
  const shown = JSON.stringify(await platform.show()) + fromUtf8(await platform.collateral(), 'c')
  const device = object(parseJson(readFileSync(join(directory, 'device.json'))), 'device')
  const secrets = Object.values(object(device.secrets, 'secrets')).map(String)
  for (const secret of [...secrets, string(device.attestationKey, 'key')]) {
    assert.equal(shown.includes(secret), false)
    assert.equal(shown.includes(Buffer.from(secret, 'base64').toString('hex')), false)
  }
})

async function node(args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, args)).stdout
}
