import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex, utf8 } from '#lib/bytes'
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
} from './index.ts'

interface Leaf {
  readonly text: string
}
interface All {
  readonly flag: boolean
  readonly small: number
  readonly plain: number
  readonly big: bigint
  readonly huge: bigint
  readonly text: string
  readonly data: Uint8Array
  readonly leaf: Leaf | undefined
  readonly names: readonly string[]
  readonly numbers: readonly number[]
  readonly leaves: readonly Leaf[]
}
const leaf: Codec<Leaf> = message<Leaf>('t.Leaf', { text: string(1) })
const all: Codec<All> = message<All>('t.All', {
  flag: bool(1),
  small: int32(2),
  plain: uint32(3),
  big: int64(4),
  huge: uint64(5),
  text: string(6),
  data: bytes(7),
  leaf: embedded(8, leaf),
  names: repeated(string(9)),
  numbers: repeated(uint32(10)),
  leaves: repeatedMessage(2000, leaf),
})

const plain = { noNullPrototype: true } as const
const anyLeaf = fc.record({ text: fc.string() }, plain)
const anyMessage = fc.record(
  {
    flag: fc.boolean(),
    small: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    plain: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    big: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
    huge: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    text: fc.string({ unit: 'binary' }),
    data: fc.uint8Array(),
    leaf: fc.option(anyLeaf, { nil: undefined }),
    names: fc.array(fc.string()),
    numbers: fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    leaves: fc.array(anyLeaf),
  },
  plain,
)

test('a message survives encoding and decoding', () => {
  fc.assert(
    fc.property(anyMessage, (value) => assert.deepEqual(all.decode(all.encode(value)), value)),
  )
})

test('the encoding is that of the protobuf documentation', () => {
  const one = message<{ a: number }>('t.Test1', { a: int32(1) })
  assert.equal(toHex(one.encode({ a: 150 })), '089601')
  assert.equal(toHex(one.encode({ a: -2 })), '08feffffffffffffffff01')
  const two = message<{ b: string }>('t.Test2', { b: string(2) })
  assert.equal(toHex(two.encode({ b: 'testing' })), '120774657374696e67')
  const packed = message<{ f: readonly number[] }>('t.Test5', { f: repeated(int32(6)) })
  assert.equal(toHex(packed.encode({ f: [3, 270, 86942] })), '3206038e029ea705')
  assert.deepEqual(packed.decode(fromHex('3003308e02309ea705', 'x')).f, [3, 270, 86942])
  assert.deepEqual(packed.decode(packed.encode({ f: [0, 0, 1] })).f, [0, 0, 1])
})

test('unknown fields are skipped, and the last occurrence of a field wins', () => {
  const unknown =
    '9a01' + '0161' + 'a001' + '05' + 'a901' + '0000000000000000' + 'b501' + '00000000'
  assert.equal(leaf.decode(fromHex(`0a0161${unknown}0a0162`, 'x')).text, 'b')
})

test('a truncation at every offset is refused or gives a shorter message, never a crash', () => {
  fc.assert(
    fc.property(anyMessage, fc.nat(), (value, cut) => {
      const encoded = all.encode(value)
      try {
        all.decode(encoded.subarray(0, cut % (encoded.length + 1)))
      } catch (error) {
        assert.match((error as { code: string }).code, /^FORMAT_/)
      }
    }),
  )
})

test('groups, field number 0, wrong wire types and long varints are refused', () => {
  for (const bad of [
    '0b0c', // group start and end
    '00', // field number 0
    '0801', // a string field as varint
    '9affffffffffffffff0101', // field number above 2^29-1
    '0affffffffffffffffff02', // varint of more than 64 bits
    '0affffffffffffffffffff01', // varint of eleven bytes
    '0affffffff7f', // length far above what is there
    '0a01ff', // not UTF-8
  ]) {
    assert.throws(() => leaf.decode(fromHex(bad, 'x')), { name: 'FormatError' }, bad)
  }
})

test('nesting is bounded', () => {
  interface Node {
    readonly next: Node | undefined
  }
  const node: Codec<Node> = message<Node>('t.Node', {
    next: {
      ...embedded<Node>(1, leaf as unknown as Codec<Node>),
      read: (r, _before, _name, depth) => node.decode(r.bytes(r.u8('length'), 'next'), depth + 1),
    },
  })
  let bytes_ = new Uint8Array(0)
  for (let i = 0; i < 17; i++) bytes_ = Uint8Array.of(0x0a, bytes_.length, ...bytes_)
  assert.throws(() => node.decode(bytes_), { code: 'FORMAT_LIMIT' })
})

test('a list is bounded before it can amplify', () => {
  const list = message<{ leaves: readonly Leaf[] }>('t.List', { leaves: repeatedMessage(1, leaf) })
  const many = new Uint8Array(2 * 65_537)
  for (let i = 0; i < many.length; i += 2) many[i] = 0x0a
  assert.throws(() => list.decode(many), { code: 'FORMAT_LIMIT' })
})

test('default values are left out, but kept inside lists', () => {
  const empty = all.decode(new Uint8Array(0))
  assert.equal(all.encode(empty).length, 0)
  const names = message<{ n: readonly string[] }>('t.N', { n: repeated(string(1)) })
  assert.deepEqual(names.decode(names.encode({ n: ['', 'x'] })).n, ['', 'x'])
  assert.deepEqual(utf8('x'), names.encode({ n: ['x'] }).subarray(2))
})
