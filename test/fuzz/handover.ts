import assert from 'node:assert/strict'
import { fromHex } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { FORM_REPORT } from '../../src/lib/handover/form.ts'
import {
  encodeHello,
  encodeMessage,
  encodeOffer,
  parseHello,
  parseMessage,
  parseOffer,
} from '../../src/lib/handover/message.ts'
import { vectorJson } from '../support/vector-file.ts'

const SHAPE = { code: FORM_REPORT, targetInfoSize: 512 } as const

/** A message of the handover, and what M1 and M2 carry: a typed error, or parts that encode to the same bytes. */
export const target: FuzzTarget = { format: 'handover', seeds, run: fuzzMessage }

function* seeds(): Generator<Uint8Array> {
  const { messages } = vectorJson<{ messages: string[] }>('handover/v1.json')
  for (const message of messages) yield fromHex(message, 'message')
}

function fuzzMessage(data: Uint8Array): void {
  const message = parseMessage(data)
  assert.deepEqual(encodeMessage(message), new Uint8Array(data))
  if (message.type === 1) {
    assert.deepEqual(
      encodeHello(FORM_REPORT, parseHello(message.m1, SHAPE)),
      new Uint8Array(message.m1),
    )
  } else if (message.type === 2) {
    assert.deepEqual(encodeOffer(parseOffer(message.b2, SHAPE)), new Uint8Array(message.b2))
  }
}
