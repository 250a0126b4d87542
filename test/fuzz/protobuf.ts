import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import {
  bool,
  bytes,
  type Codec,
  embedded,
  int32,
  int64,
  message,
  repeated,
  repeatedMessage,
  string,
  uint32,
  uint64,
} from '#lib/protobuf'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/** A message with a field of every kind: a typed error, or a value that survives encoding, which is then stable. */
export const target: FuzzTarget = { format: 'protobuf', seeds, run: fuzzMessage }

interface Leaf {
  readonly text: string
  readonly numbers: readonly number[]
}
interface Everything {
  readonly flag: boolean
  readonly signed: number
  readonly unsigned: number
  readonly long: bigint
  readonly longUnsigned: bigint
  readonly data: Uint8Array
  readonly one: Leaf | undefined
  readonly many: readonly Leaf[]
  readonly texts: readonly string[]
}

const leaf: Codec<Leaf> = message<Leaf>('Leaf', { text: string(1), numbers: repeated(int32(2)) })
const everything: Codec<Everything> = message<Everything>('Everything', {
  flag: bool(1),
  signed: int32(2),
  unsigned: uint32(3),
  long: int64(4),
  longUnsigned: uint64(5),
  data: bytes(6),
  one: embedded(7, leaf),
  many: repeatedMessage(8, leaf),
  texts: repeated(string(2000)),
})

function* seeds(): Generator<Uint8Array> {
  const one = { text: 'ä', numbers: [0, 1, -1, 2 ** 31 - 1] }
  yield everything.encode({
    flag: true,
    signed: -5,
    unsigned: 2 ** 32 - 1,
    long: -(2n ** 63n),
    longUnsigned: 2n ** 64n - 1n,
    data: utf8('data'),
    one,
    many: [one, { text: '', numbers: [] }],
    texts: ['', 'a'],
  })
  yield new Uint8Array(0)
}

function fuzzMessage(data: Uint8Array): void {
  const value = everything.decode(data)
  const encoded = everything.encode(value)
  assert.deepEqual(everything.decode(encoded), value)
  assert.deepEqual(everything.encode(everything.decode(encoded)), encoded)
}
