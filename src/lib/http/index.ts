export type { HttpCode } from './http-error.ts'
export { HttpError } from './http-error.ts'
export { contentType, discard, header, headers, readBody } from './response.ts'
export type { HttpMethod, HttpRequest, HttpResponse, Transport } from './transport.ts'
