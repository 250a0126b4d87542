import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { APPRAISE_DEFAULT, type AppraiseRequest, evaluate, tryPolicy } from './index.ts'

const question: AppraiseRequest = {
  action: 'appraise',
  enclave: {
    mrEnclave: 'aa',
    mrSigner: 'bb',
    isvProdId: 1,
    isvSvn: 1,
    debug: false,
    program: 'agent',
    reference: 'agent-1',
  },
  platform: 'sgx',
  tcbStatus: 'UpToDate',
  advisoryIds: [],
  tcbEvaluationDataNumber: 17,
  initData: { present: true, thisBroker: true, namespace: 'acme' },
}

test('tryPolicy() answers each text by itself and changes no answer of evaluate()', () => {
  const nobody = '@id("none") forbid (principal, action, resource);'
  assert.equal(evaluate('appraise', APPRAISE_DEFAULT, question).allowed, true)
  assert.deepEqual(tryPolicy('appraise', nobody, question).policyIds, ['none'])
  assert.equal(tryPolicy('appraise', APPRAISE_DEFAULT, question).allowed, true)
  assert.equal(tryPolicy('appraise', nobody, question).allowed, false)
  assert.equal(evaluate('appraise', APPRAISE_DEFAULT, question).allowed, true)
  const other = { ...question, tcbEvaluationDataNumber: 18 }
  assert.equal(evaluate('appraise', APPRAISE_DEFAULT, other).allowed, true)
})

test('tryPolicy() refuses what evaluate() refuses, and leaves the text before it unused', () => {
  const broken = '@id("x") permit (principal, action, resource) when { principal.nothing };'
  assert.throws(() => tryPolicy('appraise', broken, question), { code: 'POLICY_INVALID' })
  assert.throws(() => tryPolicy('release', APPRAISE_DEFAULT, question), TypeError)
})

test('tryPolicy() keeps no text: a thousand of them cost no memory that stays', () => {
  const pad = `// ${'x'.repeat(20_000)}\n`
  const attempt = (i: number): void => {
    const text = `@id("r${i}") permit (principal, action, resource) unless { context.platform == "${i}" };\n${pad}`
    assert.deepEqual(tryPolicy('appraise', text, question).policyIds, [`r${i}`])
  }
  // Without garbage: a collector that had no time yet is no leak.
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const inUse = (): number => {
    collect()
    return process.memoryUsage().external
  }
  for (let i = 0; i < 30; i++) attempt(i)
  const before = inUse()
  for (let i = 30; i < 330; i++) attempt(i)
  const grown = inUse() - before
  assert.ok(grown < 1024 * 1024, `${grown} bytes stay`)
})
