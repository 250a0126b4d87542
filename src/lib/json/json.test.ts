import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { FormatError, utf8 } from '#lib/bytes'
import {
  array,
  canonicalize,
  integer,
  object,
  oneOf,
  parseJson,
  string,
  stringMap,
} from './index.ts'

const refused = (text: string, code: string, options = {}) =>
  assert.throws(
    () => parseJson(text, options),
    (error) => error instanceof FormatError && error.code === code,
    text,
  )

test('parseJson() agrees with JSON.parse on what both accept', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), (text) => {
      fc.pre(!text.includes('__proto__') && JSON.stringify(JSON.parse(text)).isWellFormed())
      let ours: unknown
      try {
        ours = parseJson(text)
      } catch (error) {
        // -0 and lone surrogates aside, only integers that a double cannot hold may differ.
        assert.ok(error instanceof FormatError)
        assert.match(error.message, /number out of range|surrogate/)
        return
      }
      assert.deepEqual(ours, JSON.parse(text))
    }),
  )
})

test('parseJson() accepts nothing that JSON.parse refuses', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'{}[]":,0123-+.eE \\utrfalsn\u00e9') }),
      (text) => {
        try {
          parseJson(text)
        } catch {
          return
        }
        JSON.parse(text)
      },
    ),
    { numRuns: 2000 },
  )
})

test('parseJson() refuses a member that is there twice, also when written with escapes', () => {
  refused('{"a":1,"a":1}', 'FORMAT_INVALID')
  refused('{"a":1,"\\u0061":2}', 'FORMAT_INVALID')
  refused('[{"b":{"a":1,"a":2}}]', 'FORMAT_INVALID')
  refused('{"__proto__":{}}', 'FORMAT_INVALID')
})

test('parseJson() refuses depth above the limit and takes depth at the limit', () => {
  parseJson('['.repeat(32) + ']'.repeat(32))
  refused('['.repeat(33) + ']'.repeat(33), 'FORMAT_LIMIT')
  refused('['.repeat(1_000_000), 'FORMAT_LIMIT')
  refused('[[1]]', 'FORMAT_LIMIT', { maxDepth: 1 })
  refused('"12345"', 'FORMAT_LIMIT', { maxBytes: 6 })
})

test('parseJson() refuses bytes and texts outside I-JSON', () => {
  refused('1 2', 'FORMAT_TRAILING')
  refused('{"a":1', 'FORMAT_TRUNCATED')
  refused('"\\ud800"', 'FORMAT_INVALID')
  refused('"\ud800"', 'FORMAT_INVALID')
  refused('"\u0001"', 'FORMAT_INVALID')
  refused('9007199254740993', 'FORMAT_INVALID')
  refused('1e999', 'FORMAT_INVALID')
  refused('\ufeff1', 'FORMAT_INVALID')
  refused('01', 'FORMAT_TRAILING')
  refused('[1,]', 'FORMAT_INVALID')
  refused('', 'FORMAT_TRUNCATED')
  assert.throws(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22)), FormatError)
  assert.deepEqual(parseJson(utf8('{"\\ud83d\\ude00":"\u00e9"}')), { '\u{1f600}': '\u00e9' })
})

test('parseJson() never quotes what it read', () => {
  assert.throws(
    () => parseJson('{"key":"hunter2" x'),
    (error) => !String(error).includes('hunter2'),
  )
})

test('canonicalize() gives the published hashes', () => {
  const hash = (value: unknown) => createHash('sha384').update(canonicalize(value)).digest('hex')
  assert.equal(
    hash({ b: 1, a: 'test', c: { d: 'e' } }),
    'e71ce8e70d814ba6639c3612ebee0ff1f76f650f8dbb5e47157e0f3f525cd22c4597480a186427c813ca941da78870c3',
  )
  const key = { kty: 'EC', crv: 'P-256', alg: 'ECDH-ES+A256KW', x: 'AAAA', y: 'BBBB' }
  assert.equal(
    hash({ nonce: 'bm9uY2U=', 'tee-pubkey': key, 'additional-evidence': '' }),
    'd20490d30e5f16cba693abc1ca3c31ed977d2722d0adf01a980972d16913dc38f103c1f12abf477df0523af2b12e4b43',
  )
  assert.equal(
    hash({ nonce: 'bm9uY2U=', 'tee-pubkey': key }),
    '84311321a3f9248c2457e978ea553b35b2b6e99f0d949e55b9fc7fc1040807571644e7e47c90a2a673e49a46f265ec7a',
  )
})

test('canonicalize() follows RFC 8785 in sorting, numbers and strings', () => {
  // RFC 8785 sections 3.2.2 and 3.2.3.
  const rfc = {
    numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
    string: '\u20ac$\u000f\nA\'B"\\\\"/',
    literals: [null, true, false],
  }
  assert.equal(
    canonicalize(rfc),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  )
  const keys = {
    '\u20ac': 1,
    '\r': 2,
    '\ufb33': 3,
    '1': 4,
    '\u{1f600}': 5,
    '\u0080': 6,
    '\u00f6': 7,
  }
  assert.equal(
    canonicalize(keys),
    '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}',
  )
  assert.equal(canonicalize(-0), '0')
})

test('canonicalize() refuses what JSON cannot hold', () => {
  for (const value of [
    undefined,
    { a: undefined },
    Number.NaN,
    1n,
    '\ud800',
    new Map(),
    new Uint8Array(1),
  ]) {
    assert.throws(() => canonicalize(value), TypeError)
  }
})

test('the typed readers name the field and what was found, never the value', () => {
  const said = (read: () => unknown) => {
    try {
      read()
    } catch (error) {
      return (error as Error).message
    }
    return 'accepted'
  }
  assert.match(
    said(() => string(undefined, 'a.b')),
    /a\.b.*is missing; a string is needed/,
  )
  assert.match(
    said(() => object('hunter2', 'a')),
    /another string; an object is needed/,
  )
  assert.match(
    said(() => object({ a: 1, b: 2 }, 'o', ['a'])),
    /member b that is not known/,
  )
  assert.match(
    said(() => integer(1.5, 'n')),
    /an integer/,
  )
  assert.match(
    said(() => integer(-1, 'n')),
    /allowed is 0/,
  )
  assert.match(
    said(() => array([1, 2], 'l', 1)),
    /2 elements, 1 at most/,
  )
  assert.match(
    said(() => oneOf('c', 'k', ['a', 'b'])),
    /one of a, b/,
  )
  assert.equal(stringMap({ constructor: 'x' }, 'm').constructor, 'x')
  assert.equal(stringMap({}, 'm').constructor, undefined)
})

test('parseJson() agrees with the vectors', () => {
  const folder = new URL('../../../test/vectors/json/', import.meta.url)
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
    const bytes = readFileSync(new URL(name, folder))
    if (name.startsWith('accept-')) parseJson(bytes)
    else assert.throws(() => parseJson(bytes), FormatError, name)
  }
})
