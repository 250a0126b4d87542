import assert from 'node:assert/strict'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { startFalseBroker } from '../support/false-broker.ts'
import { type Leavings, leavings, leftAfter } from '../support/leavings.ts'
import { type CliResult, World } from '../support/world.ts'

let world: World
let clean: Leavings

before(async () => {
  world = new World('attest')
  await world.startBroker()
  await world.prepare('acme')
  writeFileSync(world.path('secret'), 'the released secret\n')
  await world.ok(['kbs', 'resource', 'set', 'kbs:///acme/greeting/hello', world.path('secret')])
})
after(async () => {
  await world[Symbol.asyncDispose]()
})
beforeEach(() => {
  clean = leavings([world.state, join(world.root, 'containers')])
})
afterEach(async () => {
  assert.deepEqual(await leftAfter(clean, [world.state, join(world.root, 'containers')]), [])
})

function refused(result: CliResult, code: string): string {
  assert.notEqual(result.code, 0, result.stdout)
  assert.equal(result.stdout, '')
  assert.match(result.stderr, new RegExp(`\\[${code}\\]`))
  assert.match(result.stderr, /^next: \S/m)
  return /\(id ([^)]+)\)/.exec(result.stderr)?.[1] ?? ''
}

async function explain(id: string): Promise<{
  code: string
  decision: string
  claims: { name: string; ok: boolean; expected: unknown[]; actual: unknown }[]
}> {
  return (await world.ok(['kbs', 'explain', id, '--json'])).json()
}

test('attest --resource prints a released secret, byte for byte', async () => {
  const result = await world.ok(['attest', '--resource', 'kbs:///acme/greeting/hello'])
  assert.equal(result.stdout, 'the released secret\n')
  assert.match(result.stderr, /^simulated platform: the operator of this machine can read memory$/m)
})

test('attest --json shows token, claims and decision, and the token names the platform', async () => {
  const document = (await world.ok(['attest', '--json', '--quiet'])).json<{
    platform: string
    token: string
    decisionId: string
    claims: Record<string, unknown>
  }>()
  assert.equal(document.platform, 'simulated')
  assert.equal(document.token.split('.').length, 3)
  assert.match(JSON.stringify(document.claims), /"ear.status":"affirming"/)
  const decision = await explain(document.decisionId)
  assert.equal(decision.decision, 'allow')
})

test('an enclave with another measurement is refused, and explain says which claim', async () => {
  const dist = world.path('edited-dist')
  cpSync(world.dist, dist, { recursive: true })
  writeFileSync(join(dist, 'agent.cjs'), '\n// edited\n', { flag: 'a' })
  const edited = world.path('edited-bundle')
  await world.ok(['bundle', 'build', '--out', edited], { dist })
  const result = await world.cli(['attest', '--bundle', edited])
  const decision = await explain(refused(result, 'APPRAISE_MEASUREMENT'))
  const wrong = decision.claims.filter((claim) => !claim.ok).map((claim) => claim.name)
  assert.ok(
    wrong.some((name) => /enclave/i.test(name)),
    wrong.join(' '),
  )
  const diff = await world.cli([
    'bundle',
    'diff',
    join(world.root, 'bundles/default'),
    edited,
    '--json',
  ])
  assert.equal(diff.code, 1)
  assert.deepEqual(
    diff.json<{ changed: { path: string }[] }>().changed.map(({ path }) => path),
    ['/usr/lib/enclave-cc/agent.cjs'],
  )
})

test('a genuine enclave behind a false broker gets nothing from the real one', async () => {
  await using broker = await startFalseBroker(world)
  writeFileSync(world.path('false.toml'), broker.initData)
  const args = ['attest', '--init-data', world.path('false.toml')]
  refused(
    await world.cli([...args, '--resource', 'kbs:///acme/greeting/hello']),
    'APPRAISE_OTHER_BROKER',
  )
  assert.ok(broker.relayed >= 2, 'the attack was carried out')
  assert.equal(broker.released, false)
})

test('init-data that was edited after it was made is another enclave', async () => {
  const text = readFileSync(world.env.ENCLAVE_CC_INIT_DATA ?? '', 'utf8')
  writeFileSync(world.path('edited.toml'), text.replace('"acme"', '"rival"'))
  const args = ['attest', '--init-data', world.path('edited.toml')]
  const uri = 'kbs:///acme/greeting/hello'
  const result = await world.cli([...args, '--resource', uri])
  assert.notEqual(result.code, 0)
  assert.equal(result.stdout, '')
})

test('a simulated platform is refused until its root is named, and again after', async () => {
  const roots = (await world.ok(['kbs', 'root', 'list', '--json'])).json<{ id: string }[]>()
  for (const { id } of roots) await world.ok(['kbs', 'root', 'delete', id])
  const id = refused(await world.cli(['attest']), 'APPRAISE_ROOT_UNTRUSTED')
  assert.equal((await explain(id)).decision, 'deny')
  await world.ok(['kbs', 'root', 'add', world.path('sim-root.pem'), '--platform', 'simulated'])
  await world.ok(['attest'])
})

test('rehearsed trouble of the platform is refused with its code', async () => {
  for (const [setting, code] of [
    ['tcb=out-of-date', 'APPRAISE_TCB'],
    ['tcb=revoked', 'APPRAISE_TCB'],
    ['revoked', 'APPRAISE_REVOKED'],
    ['pck-ca=revoked', 'APPRAISE_REVOKED'],
    ['qe=out-of-date', 'APPRAISE_TCB'],
    ['debug=on', 'APPRAISE_DEBUG'],
    ['collateral=expired', 'APPRAISE_COLLATERAL_EXPIRED'],
    ['collateral=tcb-info-expired', 'APPRAISE_COLLATERAL_EXPIRED'],
  ] as const) {
    await world.ok(['platform', 'set', setting, '--rehearsal'])
    const result = await world.cli(['attest'])
    await world.ok(['platform', 'set', 'normal', '--rehearsal'])
    assert.equal(result.code, 1, setting)
    const decision = await explain(refused(result, code))
    assert.deepEqual([decision.decision, decision.code], ['deny', code], setting)
  }
  await world.ok(['attest'])
})

test('a key cannot be read through attest, and a missing resource is not an attestation failure', async () => {
  writeFileSync(world.path('kek'), Buffer.alloc(32, 1))
  await world.ok(['kbs', 'resource', 'set', 'kbs:///acme/image-kek/x', world.path('kek')])
  refused(
    await world.cli(['attest', '--resource', 'kbs:///acme/image-kek/x']),
    'RESOURCE_REVEAL_REFUSED',
  )
  refused(
    await world.cli(['attest', '--resource', 'kbs:///acme/greeting/none']),
    'RESOURCE_NOT_FOUND',
  )
})

test('no broker: one clear sentence, a code and the next step', async () => {
  const text = readFileSync(world.env.ENCLAVE_CC_INIT_DATA ?? '', 'utf8')
  writeFileSync(world.path('nobody.toml'), text.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:1'))
  const result = await world.cli(['attest', '--init-data', world.path('nobody.toml')])
  refused(result, 'KBS_UNREACHABLE')
})
