import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, fromHex, toHex, utf8 } from '#lib/bytes'
import { DerReader, readSequence } from './der-reader.ts'
import {
  der,
  derBits,
  derBoolean,
  derEnumerated,
  derInteger,
  derOctets,
  derOid,
  derSequence,
  derTime,
  derUtf8,
} from './der-writer.ts'

const read = (hex: string): DerReader => new DerReader(fromHex(hex, 'hex'))

test('DerReader refuses what BER allows and DER does not', () => {
  const refused: readonly (readonly [string, string, (reader: DerReader) => unknown])[] = [
    ['indefinite length', '3080020101' + '0000', (r) => r.sequence('x')],
    ['length in long form that fits the short one', '308103020101', (r) => r.sequence('x')],
    ['length with a leading zero octet', '30820003020101', (r) => r.sequence('x')],
    ['length of five octets', '308500000000' + '03020101', (r) => r.sequence('x')],
    ['tag of several bytes', '1f8101' + '00', (r) => r.value('x')],
    ['end-of-contents', '0000', (r) => r.value('x')],
    ['boolean that is neither 0 nor ff', '010101', (r) => r.boolean('x')],
    ['boolean of two octets', '0102ffff', (r) => r.boolean('x')],
    ['integer without octets', '0200', (r) => r.unsigned('x')],
    ['integer with leading zeros', '02020001', (r) => r.unsigned('x')],
    ['negative integer', '0201ff', (r) => r.unsigned('x')],
    ['bit string without count', '0300', (r) => r.bits('x')],
    ['bit string with eight unused bits', '03020800', (r) => r.bits('x')],
    ['bit string with unused bits set', '0302017f' + '', (r) => r.bits('x')],
    ['empty bit string with unused bits', '030101', (r) => r.bits('x')],
    ['OID without octets', '0600', (r) => r.oid('x')],
    ['OID arc with leading zeros', '06032a8001', (r) => r.oid('x')],
    ['OID that ends inside an arc', '06022a80', (r) => r.oid('x')],
    ['another tag', '0401aa', (r) => r.unsigned('x')],
    ['constructed octet string', '2403040100', (r) => r.octets('x')],
    ['nothing', '', (r) => r.value('x')],
    ['length beyond the end', '0402aa', (r) => r.octets('x')],
    ['length of 4 GiB', '0484ffffffff', (r) => r.octets('x')],
  ]
  for (const [what, hex, parse] of refused) {
    assert.throws(() => parse(read(hex)), { name: 'FormatError' }, what)
  }
})

test('DerReader refuses trailing values, inside and outside', () => {
  assert.throws(() => readSequence(fromHex('30000500', 'hex'), 'x'), { code: 'FORMAT_TRAILING' })
  const inner = read('3006020101020102').sequence('x')
  inner.unsigned('first')
  assert.throws(() => inner.end('x'), { code: 'FORMAT_TRAILING' })
})

test('DerReader limits nesting', () => {
  let nested: Uint8Array = derInteger(1)
  for (let i = 0; i < 20; i++) nested = derSequence(nested)
  const descend = (reader: DerReader): void => {
    if (!reader.done) descend(reader.sequence('x'))
  }
  assert.throws(() => descend(new DerReader(nested)), { code: 'FORMAT_LIMIT' })
})

test('an error names the field and its offset from the start', () => {
  const reader = readSequence(
    derSequence(derInteger(1), derSequence(derOctets(utf8('x')))),
    'outer',
  )
  reader.unsigned('first')
  assert.throws(() => reader.sequence('second').unsigned('inner'), { field: 'inner', offset: 7 })
})

test('DerReader limits numbers to what the field allows', () => {
  assert.equal(read('020200ff').integer('x', 255), 255)
  assert.throws(() => read('02020100').integer('x', 255), { code: 'FORMAT_LIMIT' })
  assert.throws(() => read(`020800${'ff'.repeat(7)}`).integer('x', 2 ** 53), {
    code: 'FORMAT_LIMIT',
  })
  assert.throws(() => read('0a0103').enumerated('x', 2), { code: 'FORMAT_LIMIT' })
})

test('times are UTC to the second and of the calendar', () => {
  const time = (tag: number, text: string): number => new DerReader(der(tag, utf8(text))).time('x')
  assert.equal(time(0x17, '491231235959Z'), Date.parse('2049-12-31T23:59:59Z'))
  assert.equal(time(0x17, '500101000000Z'), Date.parse('1950-01-01T00:00:00Z'))
  assert.equal(time(0x18, '20500101000000Z'), Date.parse('2050-01-01T00:00:00Z'))
  assert.equal(time(0x17, '240229000000Z'), Date.parse('2024-02-29T00:00:00Z'))
  for (const [tag, text] of [
    [0x17, '2401010000Z'],
    [0x17, '240101000000+0100'],
    [0x17, '240101000000'],
    [0x17, '230229000000Z'],
    [0x17, '241301000000Z'],
    [0x17, '240101240000Z'],
    [0x17, '240101006000Z'],
    [0x18, '20240101000000.5Z'],
    [0x18, '240101000000Z'],
    [0x17, '20240101000000Z'],
    [0x04, '240101000000Z'],
  ] as const) {
    assert.throws(() => time(tag, text), { name: 'FormatError' }, text)
  }
})

test('writer and reader agree on numbers, OIDs, octets and times', () => {
  fc.assert(
    fc.property(fc.nat(), (n) => {
      assert.equal(new DerReader(derInteger(n)).integer('x', n), n)
      assert.equal(new DerReader(derEnumerated(n)).enumerated('x', n), n)
      const at = n * 1000
      assert.equal(new DerReader(derTime(at)).time('x'), at)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70_000 }), fc.boolean(), (octets, flag) => {
      const reader = new DerReader(
        concat(derOctets(octets), derBits(octets), derBoolean(flag), derUtf8('é')),
      )
      assert.deepEqual(toHex(reader.octets('x')), toHex(octets))
      assert.deepEqual(toHex(reader.bitOctets('x')), toHex(octets))
      assert.equal(reader.boolean('x'), flag)
      assert.equal(reader.text('x'), 'é')
      reader.end('x')
    }),
    { numRuns: 30 },
  )
  const arc = fc.integer({ min: 0, max: 2 ** 31 - 1 })
  fc.assert(
    fc.property(fc.constantFrom('0.39', '1.2', '2.5', '2.999'), fc.array(arc), (root, arcs) => {
      const oid = [root, ...arcs.slice(0, 8)].join('.')
      assert.equal(new DerReader(derOid(oid)).oid('x'), oid)
    }),
  )
})

test('any bytes are read or refused with a FormatError, and what is read is the input', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const reader = new DerReader(bytes)
      try {
        let raw: Uint8Array = new Uint8Array()
        while (!reader.done) raw = concat(raw, reader.value('x').raw)
        assert.deepEqual(raw, new Uint8Array(bytes))
      } catch (error) {
        assert.equal((error as Error).name, 'FormatError')
      }
    }),
    { numRuns: 500 },
  )
})

test('derOid() refuses what is no object identifier', () => {
  for (const oid of ['', '1', '3.1', '1.40', '1.02', '1.2.', 'a.b']) {
    assert.throws(() => derOid(oid), RangeError, oid)
  }
})
