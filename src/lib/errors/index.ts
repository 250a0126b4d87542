export type { CodedErrorOptions, CodeRow, CodeTable } from './coded-error.ts'
export { CodedError, isCoded } from './coded-error.ts'
export type { GeneralCode } from './codes/general.ts'
export { CODES, codeRow } from './codes.ts'
