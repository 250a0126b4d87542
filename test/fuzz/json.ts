import { utf8 } from '#lib/bytes'
import { canonicalize, parseJson } from '#lib/json'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/** A JSON text: a typed error, or what JSON.parse gives too and what survives the canonical form. */
export const target: FuzzTarget = {
  format: 'json',
  files: /\.(json|bin)$/,
  seeds: () => ['{"a":[1,-2.5e3,true,null,"\\u00e9\\n"],"b":{}}', '"x"', '0'].map(utf8),
  run: fuzzJson,
}

function fuzzJson(data: Uint8Array): void {
  const value = parseJson(data)
  const text = canonicalize(value)
  if (canonicalize(parseJson(text)) !== text) throw new Error('the canonical form is not stable')
  if (canonicalize(JSON.parse(new TextDecoder().decode(data))) !== text) {
    throw new Error('JSON.parse reads something else')
  }
}
