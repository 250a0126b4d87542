import {
  bytes,
  type Codec,
  embedded,
  int32,
  int64,
  message,
  repeatedMessage,
  string,
} from '#lib/protobuf'

/** `ttrpc.KeyValue`. */
export interface KeyValue {
  readonly key: string
  readonly value: string
}

/** `ttrpc.Request`. */
export interface Request {
  /** Full proto name, such as `containerd.task.v2.Task`. */
  readonly service: string
  /** Bare method name, such as `State`. */
  readonly method: string
  readonly payload: Uint8Array
  /** How long the caller will wait; 0 means no limit. */
  readonly timeoutNano: bigint
  readonly metadata: readonly KeyValue[]
}

/** `google.protobuf.Any`. */
export interface Any {
  readonly typeUrl: string
  readonly value: Uint8Array
}

/** `google.rpc.Status`. */
export interface Status {
  readonly code: number
  readonly message: string
  readonly details: readonly Any[]
}

/** `ttrpc.Response`: an absent status, or code 0, is success. */
export interface Response {
  readonly status: Status | undefined
  readonly payload: Uint8Array
}

const keyValue: Codec<KeyValue> = message<KeyValue>('ttrpc.KeyValue', {
  key: string(1),
  value: string(2),
})

/** Codec of `ttrpc.Request`. */
export const request: Codec<Request> = message<Request>('ttrpc.Request', {
  service: string(1),
  method: string(2),
  payload: bytes(3),
  timeoutNano: int64(4),
  metadata: repeatedMessage(5, keyValue),
})

/** Codec of `google.protobuf.Any`. */
export const any: Codec<Any> = message<Any>('google.protobuf.Any', {
  typeUrl: string(1),
  value: bytes(2),
})

/** Codec of `google.rpc.Status`. */
export const status: Codec<Status> = message<Status>('google.rpc.Status', {
  code: int32(1),
  message: string(2),
  details: repeatedMessage(3, any),
})

/** Codec of `ttrpc.Response`. */
export const response: Codec<Response> = message<Response>('ttrpc.Response', {
  status: embedded(1, status),
  payload: bytes(2),
})
