import assert from 'node:assert/strict'
import { concat } from '#lib/bytes'
import { encodeFrame, type Frame, FrameDecoder, OPERATIONS } from '#protocol/tee-device'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/** The stream between an enclave and its device: the same frames for any cut, and frames that encode as they came. */
export const target: FuzzTarget = { format: 'tee-device', seeds, run: fuzzStream }

const MAX_FRAME_BODY = 1024

function* seeds(): Generator<Uint8Array> {
  for (const { op, requestSize } of Object.values(OPERATIONS)) {
    yield encodeFrame(op, new Uint8Array(requestSize).fill(op))
  }
  yield concat(encodeFrame(0, new Uint8Array(16)), encodeFrame(2, new Uint8Array(0)))
}

function fuzzStream(data: Uint8Array): void {
  const decoder = new FrameDecoder(MAX_FRAME_BODY)
  const frames = decoder.push(data)
  const encoded = concat(...frames.map(({ tag, body }) => encodeFrame(tag, body)))
  assert.deepEqual(encoded, data.slice(0, encoded.length))
  assert.equal(decoder.idle, encoded.length === data.length)
  const step = 1 + (data[3] ?? 0)
  const pieces = new FrameDecoder(MAX_FRAME_BODY)
  const again: Frame[] = []
  for (let at = 0; at < data.length; at += step)
    again.push(...pieces.push(data.slice(at, at + step)))
  assert.deepEqual(again, frames)
}
