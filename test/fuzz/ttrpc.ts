import assert from 'node:assert/strict'
import { concat, utf8 } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { type Request, request, response } from '../../src/lib/ttrpc/envelope.ts'
import {
  encodeFrame,
  FRAME_REQUEST,
  FRAME_RESPONSE,
  type Frame,
  FrameDecoder,
  MAX_BODY,
} from '../../src/lib/ttrpc/frame.ts'

/**
 * A stream of frames: the same frames for any cut of the stream, bodies within the limit, and envelopes
 * that decode to the same value when encoded again.
 */
export const target: FuzzTarget = { format: 'ttrpc', seeds, run: fuzzStream }

const CALL: Request = {
  service: 'enclave_cc.agent.v1.Agent',
  method: 'Prepare',
  payload: utf8('\x0a\x03abc'),
  timeoutNano: 1_000_000_000n,
  metadata: [{ key: 'k', value: 'v' }],
}

function* seeds(): Generator<Uint8Array> {
  const call = encodeFrame(FRAME_REQUEST, 1, request.encode(CALL))
  const answer = encodeFrame(
    FRAME_RESPONSE,
    1,
    response.encode({
      status: { code: 13, message: 'no', details: [{ typeUrl: 'x', value: utf8('{}') }] },
      payload: utf8('body'),
    }),
  )
  yield call
  yield answer
  yield concat(call, answer, encodeFrame(FRAME_REQUEST, 3, new Uint8Array(0)))
}

function fuzzStream(data: Uint8Array): void {
  const frames = decode([data])
  const step = 1 + (data[0] ?? 0) + (data[9] ?? 0)
  const cuts: Uint8Array[] = []
  for (let at = 0; at < data.length; at += step) cuts.push(data.subarray(at, at + step))
  assert.deepEqual(decode(cuts), frames)
  for (const { type, body, oversize } of frames) {
    assert.ok(body.length <= MAX_BODY && (!oversize || body.length === 0))
    const codec = type === FRAME_REQUEST ? request : response
    const value = codec.decode(body)
    assert.deepEqual(codec.decode(codec.encode(value as never)), value)
  }
}

function decode(pieces: readonly Uint8Array[]): Frame[] {
  const decoder = new FrameDecoder()
  return pieces.flatMap((piece) => [...decoder.push(piece)])
}
