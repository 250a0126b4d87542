import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  concat,
  equalSecret,
  FormatError,
  fromBase64,
  fromBase64Url,
  fromHex,
  fromUtf8,
  Reader,
  toHex,
  utf8,
  Writer,
} from './index.ts'

test('Reader reads back what Writer wrote', () => {
  const bytes = new Writer()
    .u8(1)
    .u16le(2)
    .u16be(3)
    .u32le(4)
    .u32be(5)
    .u64le(6n)
    .u64be(7n)
    .lengthPrefixed(utf8('x'))
    .zeros(3)
    .finish()
  const r = new Reader(bytes)
  assert.deepEqual(
    [r.u8('a'), r.u16le('b'), r.u16be('c'), r.u32le('d'), r.u32be('e'), r.u64le('f')],
    [1, 2, 3, 4, 5, 6n],
  )
  assert.equal(r.sizeBe('g', 7), 7)
  assert.equal(fromUtf8(r.lengthPrefixed('h', 1), 'h'), 'x')
  r.zeros(3, 'reserved')
  r.end('record')
})

test('Reader refuses a truncation at every offset', () => {
  const bytes = new Writer().u32be(5).bytes(utf8('hello')).finish()
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => new Reader(bytes.subarray(0, length)).lengthPrefixed('x', 100), {
      code: 'FORMAT_TRUNCATED',
    })
  }
})

test('Reader checks a length against its limit before it takes bytes', () => {
  const r = new Reader(new Writer().u32be(0xffffffff).finish())
  assert.throws(() => r.lengthPrefixed('body', 16), { code: 'FORMAT_LIMIT', offset: 0 })
})

test('Reader refuses trailing bytes and bytes that must be zero', () => {
  assert.throws(() => new Reader(utf8('x')).end('quote'), { code: 'FORMAT_TRAILING' })
  assert.throws(() => new Reader(utf8('x')).zeros(1, 'reserved'), { code: 'FORMAT_INVALID' })
})

test('Writer refuses numbers that do not fit', () => {
  assert.throws(() => new Writer().u8(256), RangeError)
  assert.throws(() => new Writer().u32be(-1), RangeError)
  assert.throws(() => new Writer().u64be(1n << 64n), RangeError)
})

test('encodings are strict', () => {
  assert.equal(toHex(fromHex('00fF', 'x', 2)), '00ff')
  for (const bad of ['0', '0g', ' 00']) assert.throws(() => fromHex(bad, 'x'), FormatError)
  for (const bad of ['YQ', 'YQ=', 'YR==', 'Y Q=', '_w==', 'YQ==\n']) {
    assert.throws(() => fromBase64(bad, 'x'), FormatError)
  }
  for (const bad of ['YQ==', 'YR', 'Y', '+w']) assert.throws(() => fromBase64Url(bad, 'x'))
  assert.throws(() => fromUtf8(Uint8Array.of(0xc0, 0x80), 'x'), { code: 'FORMAT_INVALID' })
  assert.throws(() => fromBase64('YWI=', 'key', 32), { code: 'FORMAT_INVALID' })
})

test('equalSecret() compares length first and then all bytes', () => {
  assert.equal(equalSecret(utf8('a'), utf8('ab')), false)
  assert.equal(equalSecret(utf8('ab'), concat(utf8('a'), utf8('b'))), true)
})
