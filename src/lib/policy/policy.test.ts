import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  APPRAISE_DEFAULT,
  type AppraiseRequest,
  evaluate,
  type ImageFacts,
  LAUNCH_DEFAULT,
  type LaunchRequest,
  PolicyError,
  RELEASE_DEFAULT,
  type ReleaseRequest,
  SCHEMA,
  suggestPermit,
  validatePolicy,
} from './index.ts'

const enclave = {
  mrEnclave: 'aa',
  mrSigner: 'bb',
  isvProdId: 1,
  isvSvn: 1,
  debug: false,
  program: 'agent',
  reference: 'agent-1',
}
const appraise: AppraiseRequest = {
  action: 'appraise',
  enclave,
  platform: 'sgx',
  tcbStatus: 'UpToDate',
  advisoryIds: [],
  tcbEvaluationDataNumber: 17,
  initData: { present: true, thisBroker: true, namespace: 'acme' },
}
const read: ReleaseRequest = {
  action: 'read',
  enclave,
  resource: { namespace: 'acme', type: 'image-kek', tag: 'k' },
  platform: 'sgx',
  tcbStatus: 'UpToDate',
  status: 'affirming',
  namespace: 'acme',
}
const image: ImageFacts = {
  registry: 'r.example',
  repository: 'team/app',
  tag: '1',
  digest: `sha256:${'0'.repeat(64)}`,
  signers: ['k1'],
  signed: true,
  encrypted: true,
  fullyEncrypted: true,
}
const on = { image, platform: 'simulated', containerId: 'c' }
const key = { namespace: 'acme', type: 'image-kek', tag: 'k' }
const launches: LaunchRequest[] = [
  { ...on, action: 'run' },
  { ...on, action: 'use-key', resource: key, namespace: 'acme' },
  { ...on, action: 'set-args', args: ['sh', '-c', 'a "b"'] },
  { ...on, action: 'set-entrypoint', args: [] },
  { ...on, action: 'set-env', name: 'A', value: '\u0000"\\\u{1f600}' },
  { ...on, action: 'set-user', user: '0' },
  { ...on, action: 'set-workdir', path: '/' },
  { ...on, action: 'set-tty' },
  { ...on, action: 'set-stdin' },
  { ...on, action: 'mount', source: '/s', destination: '/d', readOnly: true },
  { ...on, action: 'exec', args: ['ls'], user: '', tty: false },
  { ...on, action: 'attach' },
  {
    action: 'reveal',
    platform: 'simulated',
    namespace: 'acme',
    resource: { ...key, type: 'note' },
  },
]

test('the default policies fit the schema, without warnings', () => {
  for (const [kind, text] of [
    ['appraise', APPRAISE_DEFAULT],
    ['release', RELEASE_DEFAULT],
    ['launch', LAUNCH_DEFAULT],
  ] as const) {
    const { problems, warnings, policies } = validatePolicy(kind, text)
    assert.deepEqual([problems, warnings], [[], []], kind)
    assert.ok(Object.keys(policies).length > 0)
  }
  assert.match(SCHEMA, /entity Image/)
})

test('the default appraise policy takes a known enclave and names the rule that refuses each fault', () => {
  assert.deepEqual(evaluate('appraise', APPRAISE_DEFAULT, appraise), {
    allowed: true,
    policyIds: ['appraise-known-enclave'],
    errors: [],
  })
  const cases: [Partial<AppraiseRequest>, string[]][] = [
    [{ enclave: { ...enclave, program: '' } }, []],
    [{ enclave: { ...enclave, debug: true } }, ['appraise-no-debug']],
    [{ tcbStatus: 'OutOfDate' }, ['appraise-tcb-up-to-date']],
    [
      { initData: { present: false, thisBroker: true, namespace: 'acme' } },
      ['appraise-init-data-bound'],
    ],
    [
      { initData: { present: true, thisBroker: true, namespace: '' } },
      ['appraise-init-data-bound'],
    ],
    [
      { initData: { present: true, thisBroker: false, namespace: 'acme' } },
      ['appraise-this-broker'],
    ],
  ]
  for (const [change, policyIds] of cases) {
    const decision = evaluate('appraise', APPRAISE_DEFAULT, { ...appraise, ...change })
    assert.deepEqual(decision, { allowed: false, policyIds, errors: [] })
  }
})

test('the default release policy keeps each enclave in its namespace and init out', () => {
  const allowed = (change: Partial<ReleaseRequest>) =>
    evaluate('release', RELEASE_DEFAULT, { ...read, ...change }).allowed
  assert.ok(allowed({}))
  assert.ok(!allowed({ namespace: 'other' }))
  assert.ok(!allowed({ namespace: '', resource: { ...key, namespace: 'x' } }))
  assert.ok(!allowed({ status: 'warning' }))
  assert.ok(!allowed({ enclave: { ...enclave, isvProdId: 2 } }))
  assert.ok(!allowed({ enclave: { ...enclave, debug: true } }))
  assert.ok(!allowed({ enclave: { ...enclave, program: '' } }))
})

test('the default launch policy permits signed images, their keys, a reveal in simulation, and nothing else', () => {
  const allowed = launches.filter((request) => evaluate('launch', LAUNCH_DEFAULT, request).allowed)
  assert.deepEqual(
    allowed.map(({ action }) => action),
    ['run', 'use-key', 'reveal'],
  )
  const unsigned = { ...on, image: { ...image, signed: false } }
  assert.ok(!evaluate('launch', LAUNCH_DEFAULT, { ...unsigned, action: 'run' }).allowed)
  const useKey = { ...on, action: 'use-key', resource: key, namespace: 'acme' } as const
  assert.ok(!evaluate('launch', LAUNCH_DEFAULT, { ...useKey, image: unsigned.image }).allowed)
  assert.ok(!evaluate('launch', LAUNCH_DEFAULT, { ...useKey, namespace: 'other' }).allowed)
  const reveal = {
    action: 'reveal',
    platform: 'simulated',
    namespace: 'acme',
    resource: key,
  } as const
  for (const type of ['image-kek', 'decryption-key', 'credential']) {
    const resource = { ...key, type }
    assert.ok(!evaluate('launch', LAUNCH_DEFAULT, { ...reveal, resource }).allowed, type)
  }
  // No type serves both: what an image can use as a key is never shown, whatever its kid is.
  for (const type of ['image-kek', 'decryption-key', 'credential', 'note', 'kek', 'Image-Kek']) {
    const resource = { ...key, type }
    const both = [useKey, reveal].map(
      (request) => evaluate('launch', LAUNCH_DEFAULT, { ...request, resource }).allowed,
    )
    assert.notDeepEqual(both, [true, true], type)
    assert.equal(both[0], type === 'image-kek' || type === 'decryption-key', type)
  }
  const note = { ...key, type: 'note' }
  assert.ok(
    !evaluate('launch', LAUNCH_DEFAULT, { ...reveal, resource: note, platform: 'sgx' }).allowed,
  )
})

test('an erroring forbid is a deny', () => {
  // Cedar alone would skip the forbid and allow: the addition overflows for this request.
  const text = `
    @id("all") permit (principal, action, resource);
    @id("broken") forbid (principal, action, resource)
    when { principal.isvSvn + 9223372036854775807 < 5 };`
  assert.deepEqual(validatePolicy('appraise', text).problems, [])
  const decision = evaluate('appraise', text, appraise)
  assert.equal(decision.allowed, false)
  assert.equal(decision.code, 'POLICY_ERROR')
  assert.deepEqual(decision.policyIds, ['broken'])
  const harmless = { ...appraise, enclave: { ...enclave, isvSvn: -9 } }
  assert.equal(evaluate('appraise', text, harmless).allowed, true)
})

test('a request outside the schema is a deny even where every request is permitted', () => {
  const text = '@id("all") permit (principal, action, resource);'
  const odd = { ...appraise, tcbStatus: 5 } as unknown as AppraiseRequest
  assert.equal(evaluate('appraise', text, odd).code, 'POLICY_ERROR')
  const missing = {
    ...appraise,
    enclave: { ...enclave, debug: undefined },
  } as unknown as AppraiseRequest
  assert.equal(evaluate('appraise', text, missing).code, 'POLICY_ERROR')
  assert.equal(evaluate('appraise', text, missing).allowed, false)
  assert.throws(() => evaluate('release', text, appraise), TypeError)
})

test('validatePolicy() says line and column, counted in characters', () => {
  const at = (text: string) => validatePolicy('launch', text).problems[0]
  const broken = at(
    '// \u00e9\u{1f600}\n@id("a") permit (principal, action, resource) when { principal.nope };',
  )
  assert.deepEqual([broken?.line, broken?.column], [2, 54])
  assert.match(broken?.message ?? '', /nope/)
  assert.equal(at('@id("a")\npermit (principal,')?.line, 2)
})

test('validatePolicy() wants an id of each policy, and no templates or actions of another kind', () => {
  const first = (kind: 'launch' | 'appraise', text: string) =>
    validatePolicy(kind, text).problems[0]?.message ?? 'accepted'
  assert.match(first('launch', 'permit (principal, action, resource);'), /annotation/)
  const twice =
    '@id("a") permit (principal, action, resource);\n@id("a") forbid (principal, action, resource);'
  assert.match(first('launch', twice), /used twice/)
  assert.match(
    first('launch', '@id("a") permit (principal == ?principal, action, resource);'),
    /templates/,
  )
  assert.match(
    first('appraise', '@id("a") permit (principal, action == Action::"run", resource);'),
    /run/,
  )
  assert.match(first('launch', 'x'.repeat(300_000)), /longer/)
  assert.throws(
    () => evaluate('launch', 'permit', { ...on, action: 'run' }),
    (error) => error instanceof PolicyError && error.code === 'POLICY_INVALID',
  )
})

test('a remembered answer is that of the same question to the same text only', () => {
  const run = { ...on, action: 'run' } as const
  assert.equal(evaluate('launch', LAUNCH_DEFAULT, run), evaluate('launch', LAUNCH_DEFAULT, run))
  assert.equal(evaluate('launch', LAUNCH_DEFAULT, run).allowed, true)
  assert.equal(
    evaluate('launch', `${LAUNCH_DEFAULT}\n@id("no") forbid (principal, action, resource);`, run)
      .allowed,
    false,
  )
  for (let i = 0; i < 600; i++) evaluate('launch', LAUNCH_DEFAULT, { ...run, containerId: `${i}` })
  const unsigned = { ...run, image: { ...image, signed: false } }
  assert.equal(evaluate('launch', LAUNCH_DEFAULT, unsigned).allowed, false)
})

test('an empty policy denies everything', () => {
  for (const request of launches) assert.equal(evaluate('launch', '', request).allowed, false)
})

test('suggestPermit() gives a valid policy that allows exactly what was refused', () => {
  for (const request of launches) {
    const text = suggestPermit(request)
    assert.deepEqual(validatePolicy('launch', text).problems, [], text)
    assert.equal(evaluate('launch', text, request).allowed, true, text)
    if (request.action === 'reveal') continue
    const other = { ...request, image: { ...image, repository: 'other' } }
    assert.equal(evaluate('launch', text, other).allowed, false, text)
  }
})

test('suggestPermit() cannot be made to write another rule', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      const request = { ...on, action: 'set-env', name, value: 'v' } as const
      const text = suggestPermit(request)
      assert.equal(Object.keys(validatePolicy('launch', text).policies).length, 1)
      assert.equal(evaluate('launch', text, request).allowed, true)
      assert.equal(evaluate('launch', text, { ...request, name: `${name}x` }).allowed, false)
    }),
    { numRuns: 50 },
  )
})
