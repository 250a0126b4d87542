import assert from 'node:assert/strict'
import { test } from 'node:test'
import { closestReference, matchReference, parseReference } from './reference.ts'

const [A, B, S] = ['aa', 'bb', '55'].map((byte) => byte.repeat(32)) as [string, string, string]
const found = { mrEnclave: A, mrSigner: S, isvProdId: 1, isvSvn: 4 }
const build = parseReference({ name: 'build', mrEnclave: A.toUpperCase() })
const signer = parseReference({ name: 'signer', mrSigner: S, isvProdId: 1, minIsvSvn: 4 })

test('a reference matches one build, or a product from a version on', () => {
  assert.equal(matchReference([build], found)?.name, 'build')
  assert.equal(matchReference([build], { ...found, mrEnclave: B }), undefined)
  assert.equal(matchReference([signer], { ...found, mrEnclave: B })?.name, 'signer')
  for (const change of [{ mrSigner: B }, { isvProdId: 2 }, { isvSvn: 3 }]) {
    assert.equal(matchReference([signer], { ...found, ...change }), undefined)
  }
})

test('a reference to a build with its signer noted wants all of it', () => {
  const both = parseReference({
    name: 'both',
    mrEnclave: A,
    mrSigner: S,
    isvProdId: 1,
    minIsvSvn: 1,
  })
  assert.equal(matchReference([both], found)?.name, 'both')
  assert.equal(matchReference([both], { ...found, mrSigner: B }), undefined)
})

test('the closest reference has the fewest differences', () => {
  const other = { ...found, mrEnclave: B, isvSvn: 3 }
  assert.deepEqual(closestReference([build, signer], other), {
    name: 'build',
    differs: ['mrEnclave'],
  })
  assert.deepEqual(closestReference([signer], other), { name: 'signer', differs: ['isvSvn'] })
  assert.equal(closestReference([], other), undefined)
})

test('parseReference() refuses what would match too much or nothing', () => {
  for (const bad of [
    { name: 'x' },
    { name: 'x', mrSigner: S },
    { name: 'x', mrSigner: S, isvProdId: 1 },
    { name: 'x', mrEnclave: 'aa' },
    { name: 'x', mrEnclave: A, isvProdId: 65_536 },
    { name: 'x', mrEnclave: A, program: 'init' },
    { name: 'x', mrEnclave: A, extra: 1 },
    { name: '', mrEnclave: A },
    { name: 'a/b', mrEnclave: A },
    null,
  ]) {
    assert.throws(() => parseReference(bad), { code: 'REFERENCE_INVALID' })
  }
})
