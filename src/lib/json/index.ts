export { canonicalize } from './canonical.ts'
export type { StringLimits } from './fields.ts'
export {
  array,
  base64,
  base64Url,
  boolean,
  hex,
  integer,
  nullable,
  object,
  oneOf,
  optional,
  string,
  stringMap,
  strings,
} from './fields.ts'
export type { ParseJsonOptions } from './parse.ts'
export { parseJson } from './parse.ts'
export type { JsonObject, JsonValue } from './value.ts'
