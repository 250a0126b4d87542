import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  aesCmac,
  encodeKeyRequest,
  encodeTargetInfo,
  FLAGS,
  KEY_NAME,
  KEY_POLICY,
  type KeyRequest,
  parseReport,
} from '#lib/attest'
import { concat, toHex } from '#lib/bytes'
import { type Cpu, createCpu } from './cpu.ts'
import type { CpuSecrets } from './key-dependencies.ts'
import { type EnclaveIdentity, enclaveIdentity } from './secs.ts'

const CPU_SVN: Uint8Array = new Uint8Array(16).fill(9)
const SECRETS: CpuSecrets = {
  reportRoot: new Uint8Array(16).fill(1),
  sealRoot: new Uint8Array(16).fill(2),
  ownerEpoch: new Uint8Array(16).fill(3),
}
const KEY_ID: Uint8Array = new Uint8Array(32).fill(4)

function cpuWith(change: Partial<CpuSecrets> = {}, cpuSvn = CPU_SVN, keyId = KEY_ID): Cpu {
  return createCpu({ secrets: { ...SECRETS, ...change }, cpuSvn, keyId })
}

const self: EnclaveIdentity = {
  ...enclaveIdentity({
    mrEnclave: new Uint8Array(32).fill(0xaa),
    mrSigner: new Uint8Array(32).fill(0xbb),
    configId: new Uint8Array(64).fill(0xcc),
    isvProdId: 2,
    isvSvn: 5,
    debug: false,
  }),
  configSvn: 3,
  isvFamilyId: new Uint8Array(16).fill(0xdd),
  isvExtProdId: new Uint8Array(16).fill(0xee),
}
const debugTwin = { ...self, flags: self.flags | FLAGS.DEBUG }

const request: KeyRequest = {
  keyName: KEY_NAME.SEAL,
  keyPolicy: KEY_POLICY.MRENCLAVE,
  isvSvn: 5,
  cpuSvn: CPU_SVN,
  flagsMask: 0xff0000000000000bn,
  xfrmMask: 0n,
  keyId: new Uint8Array(32),
  miscMask: 0xf0000000,
  configSvn: 3,
}

function key(identity: EnclaveIdentity, change: Partial<KeyRequest> = {}, cpu = cpuWith()): string {
  return toHex(cpu.key(identity, encodeKeyRequest({ ...request, ...change })))
}

const with1 = (size: number): Uint8Array => new Uint8Array(size).fill(1)
const OTHERS: Readonly<Record<string, Partial<EnclaveIdentity>>> = {
  mrEnclave: { mrEnclave: with1(32) },
  mrSigner: { mrSigner: with1(32) },
  debug: { flags: self.flags | FLAGS.DEBUG },
  init: { flags: self.flags & ~FLAGS.INIT },
  mode64: { flags: self.flags & ~FLAGS.MODE64BIT },
  xfrm: { xfrm: 0xe7n },
  misc: { miscSelect: 1 },
  configId: { configId: with1(64) },
  configSvn: { configSvn: 4 },
  isvProdId: { isvProdId: 3 },
  isvSvn: { isvSvn: 6 },
  isvFamilyId: { isvFamilyId: with1(16) },
  isvExtProdId: { isvExtProdId: with1(16) },
}

/** The table of EGETKEY: which part of the identity changes the key under which request. */
const TABLE: readonly {
  readonly name: string
  readonly change: Partial<KeyRequest>
  readonly binds: readonly string[]
}[] = [
  {
    name: 'SEAL by MRENCLAVE',
    change: { keyPolicy: KEY_POLICY.MRENCLAVE },
    binds: ['mrEnclave', 'debug', 'init', 'isvProdId'],
  },
  {
    name: 'SEAL by MRSIGNER',
    change: { keyPolicy: KEY_POLICY.MRSIGNER },
    binds: ['mrSigner', 'debug', 'init', 'isvProdId'],
  },
  {
    name: 'SEAL by MRSIGNER without ISVPRODID',
    change: { keyPolicy: KEY_POLICY.MRSIGNER | KEY_POLICY.NOISVPRODID },
    binds: ['mrSigner', 'debug', 'init'],
  },
  {
    name: 'SEAL by everything',
    change: {
      keyPolicy: 0x3b,
      flagsMask: 0xffffffffffffffffn,
      xfrmMask: 0xffffffffffffffffn,
      miscMask: 0xffffffff,
    },
    binds: [
      'mrEnclave',
      'mrSigner',
      'debug',
      'init',
      'mode64',
      'xfrm',
      'misc',
      'configId',
      'isvProdId',
      'isvFamilyId',
      'isvExtProdId',
    ],
  },
  {
    name: 'SEAL with an empty mask: INIT and DEBUG are bound all the same',
    change: { keyPolicy: 0, flagsMask: 0n, miscMask: 0 },
    binds: ['debug', 'init', 'isvProdId'],
  },
  {
    name: 'REPORT',
    change: { keyName: KEY_NAME.REPORT },
    binds: ['mrEnclave', 'debug', 'init', 'mode64', 'xfrm', 'misc', 'configId', 'configSvn'],
  },
]

for (const { name, change, binds } of TABLE) {
  test(`EGETKEY ${name}: exactly the bound parts of the identity change the key`, () => {
    const base = key(self, change)
    assert.equal(key({ ...self }, change), base)
    const changed = Object.keys(OTHERS).filter(
      (part) => key({ ...self, ...OTHERS[part] }, change) !== base,
    )
    assert.deepEqual(changed, binds)
  })
}

test('EGETKEY PROVISION_SEAL needs the attribute PROVISIONKEY, binds MRSIGNER, outlives the owner', () => {
  const change = { keyName: KEY_NAME.PROVISION_SEAL }
  assert.throws(() => key(self, change), { code: 'TEE_KEY_REFUSED' })
  const platform = { ...self, flags: self.flags | FLAGS.PROVISIONKEY }
  const base = key(platform, change)
  assert.notEqual(key({ ...platform, mrSigner: with1(32) }, change), base)
  assert.equal(key({ ...platform, mrEnclave: with1(32) }, change), base)
  assert.equal(key(platform, change, cpuWith({ ownerEpoch: with1(16) })), base)
  assert.notEqual(key(platform, change, cpuWith({ sealRoot: with1(16) })), base)
})

test('EGETKEY: each field of the request that a sealing key depends on changes it', () => {
  const keyPolicy = 0x3b
  const base = key(self, { keyPolicy })
  const changes: readonly Partial<KeyRequest>[] = [
    { keyId: with1(32) },
    { isvSvn: 4 },
    { cpuSvn: new Uint8Array(16).fill(8) },
    { flagsMask: 0xffn },
    { xfrmMask: 1n },
    { miscMask: 0 },
    { configSvn: 2 },
    { keyPolicy: 0x3a },
    { keyPolicy: 0x3f },
  ]
  const keys = new Set([base, ...changes.map((change) => key(self, { keyPolicy, ...change }))])
  assert.equal(keys.size, changes.length + 1)
})

test('EGETKEY: other device secrets and another owner give other keys', () => {
  const base = key(self)
  assert.notEqual(key(self, {}, cpuWith({ sealRoot: with1(16) })), base)
  assert.notEqual(key(self, {}, cpuWith({ ownerEpoch: with1(16) })), base)
  const report = { keyName: KEY_NAME.REPORT }
  assert.notEqual(key(self, report, cpuWith({ reportRoot: new Uint8Array(16) })), key(self, report))
})

test('EGETKEY: an older version never gets the key of a newer one, the newer gets the older', () => {
  const newer = { ...self, isvSvn: 6 }
  assert.equal(key(newer, { isvSvn: 5 }), key(self))
  assert.throws(() => key(self, { isvSvn: 6 }), { code: 'TEE_KEY_REFUSED' })
  for (let i = 0; i < 16; i++) {
    const cpuSvn = CPU_SVN.with(i, 10)
    assert.throws(() => key(self, { cpuSvn }), { code: 'TEE_KEY_REFUSED' })
  }
  const keyPolicy = KEY_POLICY.MRENCLAVE | KEY_POLICY.CONFIGID
  assert.throws(() => key(self, { keyPolicy, configSvn: 4 }), { code: 'TEE_KEY_REFUSED' })
})

test('EGETKEY refuses reserved policies, KSS policies without KSS and names it does not offer', () => {
  for (const keyPolicy of [0x40, 0x8000]) {
    assert.throws(() => key(self, { keyPolicy }), { code: 'TEE_KEY_REFUSED' })
  }
  const plain = { ...self, flags: self.flags & ~FLAGS.KSS }
  for (const keyPolicy of [0x04, 0x08, 0x10, 0x20]) {
    assert.throws(() => key(plain, { keyPolicy }), { code: 'TEE_KEY_REFUSED' })
  }
  for (const keyName of [KEY_NAME.EINITTOKEN, KEY_NAME.PROVISION, 5, 0xffff]) {
    assert.throws(() => key(self, { keyName }), { code: 'TEE_KEY_REFUSED' })
  }
})

test('EGETKEY refuses reserved bytes and other sizes', () => {
  const bytes = encodeKeyRequest(request)
  for (const at of [6, 7, 78, 511]) {
    assert.throws(() => cpuWith().key(self, bytes.with(at, 1)), { code: 'TEE_REQUEST_MALFORMED' })
  }
  assert.throws(() => cpuWith().key(self, bytes.subarray(1)), { code: 'TEE_REQUEST_MALFORMED' })
})

function reportKeyOf(target: EnclaveIdentity, keyId: Uint8Array, cpu: Cpu): Uint8Array {
  return cpu.key(target, encodeKeyRequest({ ...request, keyName: KEY_NAME.REPORT, keyId }))
}

function checks(report: Uint8Array, target: EnclaveIdentity, cpu = cpuWith()): boolean {
  const mac = aesCmac(reportKeyOf(target, parseReport(report).keyId, cpu), report.subarray(0, 384))
  return toHex(mac) === toHex(report.subarray(416))
}

const peer = { ...self, mrEnclave: with1(32), isvProdId: 1 }
const data = new Uint8Array(64).fill(0x5a)

test('EREPORT names its maker and is checked by its target alone', () => {
  const report = cpuWith().report(self, encodeTargetInfo(peer), data)
  const parsed = parseReport(report)
  assert.equal(report.length, 432)
  assert.deepEqual(parsed.mrEnclave, self.mrEnclave)
  assert.deepEqual(parsed.mrSigner, self.mrSigner)
  assert.deepEqual(parsed.configId, self.configId)
  assert.deepEqual(parsed.cpuSvn, CPU_SVN)
  assert.deepEqual(parsed.reportData, data)
  assert.equal(parsed.flags, FLAGS.INIT | FLAGS.MODE64BIT | FLAGS.KSS)
  assert.equal(parsed.isvProdId, 2)
  assert.equal(parsed.isvSvn, 5)
  assert.equal(checks(report, peer), true)
  assert.equal(checks(report, self), false)
  assert.equal(checks(report, { ...peer, flags: peer.flags | FLAGS.DEBUG }), false)
  assert.equal(checks(report, { ...peer, configId: with1(64) }), false)
})

test('a report does not check after an edit of any byte of its body, KEYID or MAC', () => {
  const report = cpuWith().report(self, encodeTargetInfo(peer), data)
  for (let at = 0; at < report.length; at++) {
    assert.equal(checks(report.with(at, (report[at] ?? 0) ^ 1), peer), false, `byte ${at}`)
  }
})

test('a report of another processor or another CPUSVN does not check, one of an earlier boot does', () => {
  const report = cpuWith().report(self, encodeTargetInfo(peer), data)
  assert.equal(checks(report, peer, cpuWith({ reportRoot: with1(16).fill(7) })), false)
  assert.equal(checks(report, peer, cpuWith({ ownerEpoch: with1(16) })), false)
  assert.equal(checks(report, peer, cpuWith({}, new Uint8Array(16).fill(8))), false)
  assert.equal(checks(report, peer, cpuWith({}, CPU_SVN, with1(32))), true)
})

test('EREPORT refuses a TARGETINFO with reserved bytes and report data of another size', () => {
  const target = encodeTargetInfo(peer)
  for (const at of [49, 56, 128, 511]) {
    assert.throws(() => cpuWith().report(self, target.with(at, 1), data), {
      code: 'TEE_REQUEST_MALFORMED',
    })
  }
  assert.throws(() => cpuWith().report(self, target, data.subarray(1)), {
    code: 'TEE_REQUEST_MALFORMED',
  })
})

test('a debug twin reports DEBUG and gets other keys', () => {
  const report = cpuWith().report(debugTwin, encodeTargetInfo(peer), data)
  assert.equal(parseReport(report).flags & FLAGS.DEBUG, FLAGS.DEBUG)
  assert.notEqual(key(debugTwin), key(self))
})

test('enclaveIdentity() copies its input and refuses other sizes', () => {
  const secs = {
    mrEnclave: Buffer.from(with1(32)),
    mrSigner: with1(32),
    configId: with1(64),
    isvProdId: 1,
    isvSvn: 1,
    debug: false,
  }
  const identity = enclaveIdentity(secs)
  secs.mrEnclave.fill(9)
  assert.deepEqual(identity.mrEnclave, with1(32))
  assert.throws(() => enclaveIdentity({ ...secs, mrEnclave: with1(31) }), RangeError)
  assert.throws(() => enclaveIdentity({ ...secs, configId: with1(32) }), RangeError)
  assert.throws(() => enclaveIdentity({ ...secs, isvSvn: 65536 }), RangeError)
  assert.equal(
    concat(identity.isvFamilyId, identity.isvExtProdId).every((b) => b === 0),
    true,
  )
})
