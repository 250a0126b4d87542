export type { DerValue } from './der-reader.ts'
export { DerReader, readSequence } from './der-reader.ts'
export {
  der,
  derBits,
  derBoolean,
  derEnumerated,
  derExplicit,
  derInteger,
  derOctets,
  derOid,
  derSequence,
  derSet,
  derTime,
  derUtf8,
} from './der-writer.ts'
export { explicitTag, implicitTag, TAG } from './tag.ts'
