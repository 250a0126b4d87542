import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  certificateNames,
  FILES,
  initDataDir,
  pinOfCertificate,
  readConfig,
  readKeys,
} from './data-dir.ts'
import { openSqliteStore } from './store/sqlite.ts'

const dir = mkdtempSync(join(tmpdir(), 'enclave-cc-data-dir-'))
after(() => rmSync(dir, { recursive: true, force: true }))
const NOW = Date.UTC(2026, 0, 1)
const DAY = 86_400_000
const options = {
  listen: '127.0.0.1:1',
  url: 'https://127.0.0.1:1',
  names: ['127.0.0.1'],
  now: NOW,
}

test('a broker is made once, and its secrets are readable by its owner alone', async () => {
  const data = join(dir, 'a')
  const token = await initDataDir(data, options)
  assert.match(token, /^ecc-admin-[\w-]{43}$/)
  assert.equal(readFileSync(join(data, FILES.adminToken), 'utf8'), `${token}\n`)
  await assert.rejects(initDataDir(data, options), { code: 'KBS_INITIALISED' })
  await openSqliteStore(join(data, FILES.database), { now: () => NOW }).close()
  const secret = [
    ...[FILES.adminToken, FILES.tokenKey, FILES.auditKey, FILES.storageKey, FILES.authorityKey],
    ...[FILES.serverKey, FILES.database],
  ]
  for (const file of secret) assert.equal(statSync(join(data, file)).mode & 0o777, 0o600, file)
  for (const folder of ['.', 'keys', 'tls']) {
    assert.equal(statSync(join(data, folder)).mode & 0o777, 0o700, folder)
  }
  await assert.rejects(readConfig(join(dir, 'none')), { code: 'KBS_NOT_INITIALISED' })
})

test('a broker that was cut off while it was made is made anew, one that was used never', async () => {
  const data = join(dir, 'half')
  await initDataDir(data, options)
  rmSync(join(data, FILES.config))
  const token = await initDataDir(data, options)
  assert.equal(readFileSync(join(data, FILES.adminToken), 'utf8'), `${token}\n`)
  await readKeys(data, NOW)
  rmSync(join(data, FILES.config))
  writeFileSync(join(data, FILES.database), '')
  await assert.rejects(initDataDir(data, options), { code: 'KBS_INITIALISED' })
  rmSync(join(data, FILES.database))
  writeFileSync(join(data, 'tls/other.pem'), 'x')
  await assert.rejects(initDataDir(data, options), { code: 'KBS_INITIALISED' })
  assert.equal(readFileSync(join(data, FILES.adminToken), 'utf8'), `${token}\n`)
})

test('of two that make a broker at once one makes it, whole', async () => {
  const data = join(dir, 'race')
  const ended = await Promise.allSettled([1, 2, 3].map(() => initDataDir(data, options)))
  const [made, ...more] = ended.filter((one) => one.status === 'fulfilled')
  assert.deepEqual(more, [])
  assert.equal(readFileSync(join(data, FILES.adminToken), 'utf8'), `${made?.value}\n`)
  for (const one of ended) {
    if (one.status === 'rejected') assert.equal(one.reason.code, 'KBS_INITIALISED')
  }
  const authority = new X509Certificate(readFileSync(join(data, FILES.authority)))
  for (const file of [FILES.server, FILES.tokenCertificate]) {
    const certificate = new X509Certificate(readFileSync(join(data, file)))
    assert.ok(certificate.verify(authority.publicKey), file)
  }
})

test('a certificate that ends soon is renewed with the same key, so pins stay good', async () => {
  const data = join(dir, 'b')
  await initDataDir(data, options)
  const before = await readKeys(data, NOW)
  assert.equal((await readKeys(data, NOW + 300 * DAY)).tls.certificate, before.tls.certificate)
  const renewed = await readKeys(data, NOW + 380 * DAY)
  assert.notEqual(renewed.tls.certificate, before.tls.certificate)
  assert.equal(renewed.pin, before.pin)
  assert.equal(pinOfCertificate(readFileSync(join(data, FILES.server))), before.pin)
  const authority = new X509Certificate(readFileSync(join(data, FILES.authority)))
  assert.ok(new X509Certificate(renewed.tls.certificate).verify(authority.publicKey))
})

test('one database serves one broker', async () => {
  const file = join(dir, 'one.db')
  const store = openSqliteStore(file, { now: () => NOW })
  await store.commit([], { event: 'x' })
  assert.throws(() => openSqliteStore(file, { now: () => NOW }), { code: 'KBS_RUNNING' })
  await store.close()
  const again = openSqliteStore(file, { now: () => NOW })
  assert.equal((await again.auditHead())?.seq, 1)
  await again.close()
})

test('certificateNames() names what clients connect to, and this machine', () => {
  const names = certificateNames('https://kbs.example:8443', '0.0.0.0:8443', [
    'kbs.local',
    'bad name',
  ])
  assert.deepEqual(names, ['kbs.example', 'kbs.local', 'localhost', '127.0.0.1', '::1'])
  assert.ok(certificateNames('https://[2001:db8::1]:1', '[::]:1', []).includes('2001:db8::1'))
})
