import assert from 'node:assert/strict'
import { fromHex } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { FORM_QUOTE, FORM_REPORT } from '../../src/lib/handover/form.ts'
import {
  encodeHello,
  encodeMessage,
  encodeOffer,
  parseHello,
  parseMessage,
  parseOffer,
} from '../../src/lib/handover/message.ts'
import { vectorJson } from '../support/vector-file.ts'

const REPORTS = { code: FORM_REPORT, targetInfoSize: 512 } as const
const QUOTES = { code: FORM_QUOTE, targetInfoSize: 0 } as const

/** A message of the handover, and what M1 and M2 carry: a typed error, or parts that encode to the same bytes. */
export const target: FuzzTarget = { format: 'handover', seeds, run: fuzzMessage }

function* seeds(): Generator<Uint8Array> {
  for (const name of ['handover/v1.json', 'handover/v1-quote.json']) {
    const { messages } = vectorJson<{ messages: string[] }>(name)
    for (const message of messages) yield fromHex(message, 'message')
  }
}

function fuzzMessage(data: Uint8Array): void {
  const message = parseMessage(data)
  assert.deepEqual(encodeMessage(message), new Uint8Array(data))
  if (message.type === 1) {
    const shape = message.m1[0] === FORM_QUOTE ? QUOTES : REPORTS
    const hello = parseHello(message.m1, shape)
    assert.deepEqual(encodeHello(shape.code, hello), new Uint8Array(message.m1))
  } else if (message.type === 2) {
    assert.deepEqual(
      encodeOffer(parseOffer(message.b2, shapeOf(message.b2))),
      new Uint8Array(message.b2),
    )
  }
}

/** The size of TI_A follows nonce and public key. */
function shapeOf(b2: Uint8Array): typeof REPORTS | typeof QUOTES {
  return b2.subarray(64, 68).some((byte) => byte !== 0) ? REPORTS : QUOTES
}
