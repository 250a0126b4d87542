import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, toHex, Writer } from '#lib/bytes'
import { codeRow } from '#lib/errors'
import {
  codeOfStatus,
  encodeFrame,
  type Frame,
  FrameDecoder,
  OPERATIONS,
  operationOf,
  statusOfCode,
} from './index.ts'

const MAX_BODY = 64

test('FrameDecoder gives the same frames for any cut of the stream', () => {
  const frame = fc.record(
    { tag: fc.nat({ max: 255 }), body: fc.uint8Array({ maxLength: MAX_BODY }) },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.array(frame), fc.integer({ min: 1, max: 50 }), (frames, cut) => {
      const stream = concat(...frames.map(({ tag, body }) => encodeFrame(tag, body)))
      const decoder = new FrameDecoder(MAX_BODY)
      const found: Frame[] = []
      for (let at = 0; at < stream.length; at += cut) {
        found.push(...decoder.push(stream.subarray(at, at + cut)))
      }
      assert.deepEqual(found, frames)
      assert.equal(decoder.idle, true)
    }),
  )
})

test('FrameDecoder waits at every truncation and is not idle then', () => {
  const stream = encodeFrame(3, Uint8Array.of(1, 2, 3))
  for (let length = 1; length < stream.length; length++) {
    const decoder = new FrameDecoder(MAX_BODY)
    assert.deepEqual(decoder.push(stream.subarray(0, length)), [])
    assert.equal(decoder.idle, false)
  }
})

for (const length of [0, MAX_BODY + 2, 0xffffffff]) {
  test(`FrameDecoder refuses a frame of length ${length} when only its length has come`, () => {
    const decoder = new FrameDecoder(MAX_BODY)
    assert.throws(() => decoder.push(new Writer().u32be(length).finish()), {
      code: 'TEE_DEVICE_PROTOCOL',
    })
  })
}

test('FrameDecoder takes the longest body', () => {
  const body = new Uint8Array(MAX_BODY).fill(7)
  assert.deepEqual(new FrameDecoder(MAX_BODY).push(encodeFrame(1, body)), [{ tag: 1, body }])
})

test('a decoded body does not change with the buffer it came from', () => {
  const stream = Buffer.from(encodeFrame(1, Uint8Array.of(5)))
  const [frame] = new FrameDecoder(MAX_BODY).push(stream)
  stream.fill(0)
  assert.deepEqual(frame?.body, Uint8Array.of(5))
})

test('every operation has its own byte and is found by it', () => {
  for (const [name, { op }] of Object.entries(OPERATIONS)) assert.equal(operationOf(op), name)
  for (const op of [0, 6, 255]) assert.equal(operationOf(op), undefined)
})

test('every status of a refusal maps to a code of the table and back', () => {
  for (let status = 1; status <= 5; status++) {
    const code = codeOfStatus(status)
    assert.ok(code !== undefined && codeRow(code) !== undefined)
    assert.equal(statusOfCode(code), status)
  }
  assert.equal(codeOfStatus(0), undefined)
  assert.equal(codeOfStatus(6), undefined)
  assert.equal(statusOfCode('TEE_DEVICE_CLOSED'), 5)
})

test('the worked example of the format page holds', () => {
  const hex = (tag: number, size: number): string => toHex(encodeFrame(tag, new Uint8Array(size)))
  assert.equal(hex(OPERATIONS.quotingTarget.op, 0), '0000000103')
  assert.equal(hex(0, 512).slice(0, 10), '0000020100')
  assert.equal(hex(OPERATIONS.report.op, 576).slice(0, 10), '0000024101')
  assert.equal(hex(0, 432).slice(0, 10), '000001b100')
  assert.equal(hex(statusOfCode('TEE_OPERATION_UNKNOWN'), 0), '0000000102')
})
