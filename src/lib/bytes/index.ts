export { collectAtMost } from './collect.ts'
export { compareBytes, concat, copyOf, equalBytes, equalSecret } from './compare.ts'
export {
  fromBase64,
  fromBase64Url,
  fromHex,
  fromUtf8,
  toBase64,
  toBase64Url,
  toHex,
  utf8,
} from './encoding.ts'
export type { FormatCode } from './format-error.ts'
export { FormatError } from './format-error.ts'
export { Reader } from './reader.ts'
export { Writer } from './writer.ts'
