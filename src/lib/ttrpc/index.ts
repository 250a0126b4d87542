export type { CallOptions, TtrpcClient } from './client.ts'
export { createTtrpcClient } from './client.ts'
export type { Any, KeyValue, Status } from './envelope.ts'
export { any } from './envelope.ts'
export { HEADER_LENGTH, MAX_BODY } from './frame.ts'
export type { CallContext, Handler, Handlers, ServeOptions } from './server.ts'
export { serveTtrpc } from './server.ts'
export type {
  Method,
  Methods,
  Registration,
  Service,
  ServiceClient,
  ServiceHandlers,
} from './service.ts'
export { handlersOf, register, serviceClient } from './service.ts'
export type { TtrpcErrorCode } from './status.ts'
export { STATUS, StatusError, TtrpcError } from './status.ts'
