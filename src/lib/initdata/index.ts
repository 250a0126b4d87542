export type { InitDataEnvelope } from './envelope.ts'
export { envelopeDigest, MAX_INIT_DATA, parseEnvelope } from './envelope.ts'
export type { InitData, InitDataInput } from './init-data.ts'
export {
  INIT_DATA_MEMBER,
  initDataDigest,
  parseInitData,
  parseInitDataMember,
  serializeInitData,
} from './init-data.ts'
export { InitDataError } from './init-data-error.ts'
export type { ResourceName } from './resource-uri.ts'
export { formatResourceUri, isSegment, parseResourceUri, resourceName } from './resource-uri.ts'
