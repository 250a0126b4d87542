export type { Codec, Field, WireType } from './field.ts'
export {
  bool,
  bytes,
  embedded,
  int32,
  int64,
  repeated,
  repeatedMessage,
  string,
  uint32,
  uint64,
} from './field.ts'
export type { Empty, Fields } from './message.ts'
export { empty, message } from './message.ts'
