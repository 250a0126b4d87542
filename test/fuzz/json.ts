import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import { canonicalize, parseJson } from '#lib/json'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/** JSON: a typed error, or the value that JSON.parse finds, stable under canonical writing. */
export const target: FuzzTarget = {
  format: 'json',
  files: /\.(json|bin)$/,
  seeds: () =>
    [
      '{"a":[1,-0.5e-3,true,false,null,{}],"b":{"c":"\\u00e9\\n\\ud83d\\ude00","é":"😀"},"":""}',
      ' [ ] ',
      '9007199254740991',
      `${'['.repeat(32)}${']'.repeat(32)}`,
    ].map(utf8),
  run: fuzzJson,
}

function fuzzJson(data: Uint8Array): void {
  const value = parseJson(data)
  assert.deepEqual(value, JSON.parse(Buffer.from(data).toString()))
  const text = canonicalize(value)
  assert.equal(canonicalize(parseJson(text)), text)
}
