export type { HttpTransport, HttpTransportOptions } from './http-transport.ts'
export { createHttpTransport } from './http-transport.ts'
export { isPublicAddress } from './public-address.ts'
export { systemCa } from './system-ca.ts'
