import assert from 'node:assert/strict'
import { DerReader, der } from '#lib/asn1'
import { concat } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorBytes } from '../support/vector-file.ts'

/** Any DER: a typed error, or values that join to the same bytes when each is encoded again. */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /Crl\.der$|root-ca\.der$/,
  seeds: () => [vectorBytes('sgx/intel-sgx-root-ca.der')],
  run: (data) => assert.deepEqual(walk(new DerReader(data)), new Uint8Array(data)),
}

const CONSTRUCTED = 0x20

function walk(reader: DerReader): Uint8Array {
  const values: Uint8Array[] = []
  while (!reader.done) {
    const tag = reader.peek() ?? 0
    if ((tag & CONSTRUCTED) !== 0) values.push(der(tag, walk(reader.enter(tag, 'value'))))
    else values.push(primitive(reader, tag))
  }
  return concat(...values)
}

/** Reads a value by its type as well, so that each strict reader sees hostile content. */
function primitive(reader: DerReader, tag: number): Uint8Array {
  const { raw, content } = reader.value('value')
  const typed = new DerReader(raw)
  if (tag === 1) typed.boolean('value')
  else if (tag === 2) typed.unsigned('value')
  else if (tag === 3) typed.bits('value')
  else if (tag === 6) assert.match(typed.oid('value'), /^[0-2](\.\d+)+$/)
  else if (tag === 0x17 || tag === 0x18) assert.ok(Number.isFinite(typed.time('value')))
  else if (tag === 0x0c || tag === 0x13) typed.text('value')
  return der(tag, content)
}
