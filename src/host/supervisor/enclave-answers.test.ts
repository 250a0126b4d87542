import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { endOf, parsePrepared, parseSteps } from './enclave-answers.ts'

const DIGEST = `sha256:${'ab'.repeat(32)}`
const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value))

test('parsePrepared() keeps what belongs into a record, and refuses what would damage one', () => {
  const mount = { destination: '/', kind: 'disk', size: 2 ** 32 }
  const kept = { manifestDigest: DIGEST, decisionIds: ['d1'], layers: [], mounts: [mount] }
  const answer = { ...kept, reference: 'r' }
  assert.deepEqual(parsePrepared(json(answer)), kept)
  for (const wrong of [
    { manifestDigest: undefined },
    { manifestDigest: `${DIGEST}\u001b[2J` },
    { decisionIds: [1] },
    { decisionIds: Array.from({ length: 65 }, () => 'x') },
    { decisionIds: ['x'.repeat(129)] },
    { layers: [{ digest: DIGEST }] },
    { mounts: undefined },
    { mounts: [{ ...mount, kind: 'loop' }] },
    { mounts: [{ ...mount, destination: '/\u001b[2J' }] },
    { mounts: Array.from({ length: 66 }, () => mount) },
    { layers: [{ digest: DIGEST, cached: true, file: '../x.sealed' }] },
    {
      layers: Array.from({ length: 128 }, () => ({
        digest: DIGEST,
        cached: false,
        file: 'layer-0.sealed',
      })),
    },
  ]) {
    assert.throws(() => parsePrepared(json({ ...answer, ...wrong })), /Prepare/)
  }
})

test('parseSteps() gives steps and the number to go on from', () => {
  const { steps, last } = parseSteps(
    json([
      { seq: 3, step: 'layer', done: 1, total: 2, surprise: 1 },
      { seq: 4, step: 'ready', text: 'x'.repeat(10_000) },
    ]),
    2n,
  )
  assert.equal(last, 4n)
  assert.deepEqual(steps[0], { step: 'layer', done: 1, total: 2 })
  assert.equal(steps[1]?.text?.length, 500)
  assert.equal(parseSteps(json([]), 7n).last, 7n)
  assert.throws(() => parseSteps(json([{ seq: 1, step: 5 }]), 0n))
  assert.throws(() => parseSteps(json([{ seq: 1, step: 'layer', done: -1 }]), 0n))
})

test('endOf() lets no exit code, code or text of an enclave through that is none', () => {
  const reply = { exitCode: 3, signal: 0, code: '', message: 'ignored', damaged: '' }
  assert.deepEqual(endOf(reply), { exitCode: 3 })
  for (const exitCode of [-1, 256, 2 ** 31]) {
    assert.deepEqual(endOf({ ...reply, exitCode }), { exitCode: 125 })
  }
  const odd = endOf({ ...reply, code: 'x]\nnext: rm', message: 'y'.repeat(5000) })
  assert.equal(odd.code, 'INTERNAL')
  assert.equal(odd.message?.length, 500)
})
