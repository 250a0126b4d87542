import type { TeeDeviceCode } from './tee-device-error.ts'

/** Sizes of SGX structures on the wire, in bytes. */
export const TARGETINFO_SIZE = 512
export const REPORT_SIZE = 432
export const REPORTDATA_SIZE = 64
export const KEYREQUEST_SIZE = 512
export const KEY_SIZE = 16

/** What one operation looks like: its byte on the wire and the exact or largest sizes. */
export interface Operation {
  readonly op: number
  /** Bytes of the request body; always exact. */
  readonly requestSize: number
  readonly minAnswerSize: number
  readonly maxAnswerSize: number
}

export type OperationName = 'report' | 'key' | 'quotingTarget' | 'quote' | 'collateral'

/** Smallest v3 quote: header 48, body 384, length 4, signature data 64+64+384+64+2+6. */
const MIN_QUOTE_SIZE = 48 + 384 + 4 + (64 + 64 + 384 + 64 + 2 + 6)

/** Every operation of the device. A number is never given to another operation. */
export const OPERATIONS: Readonly<Record<OperationName, Operation>> = {
  /** EREPORT: TARGETINFO, REPORTDATA → REPORT of the calling enclave. */
  report: exact(1, TARGETINFO_SIZE + REPORTDATA_SIZE, REPORT_SIZE),
  /** EGETKEY: KEYREQUEST → key of the calling enclave. */
  key: exact(2, KEYREQUEST_SIZE, KEY_SIZE),
  /** TARGETINFO of the quoting enclave. */
  quotingTarget: exact(3, 0, TARGETINFO_SIZE),
  /** REPORT made for the quoting enclave → quote. */
  quote: { op: 4, requestSize: REPORT_SIZE, minAnswerSize: MIN_QUOTE_SIZE, maxAnswerSize: 16384 },
  /** Collateral of the platform, a JSON document. */
  collateral: { op: 5, requestSize: 0, minAnswerSize: 2, maxAnswerSize: 262144 },
}

/** The operation of a byte on the wire; undefined if there is none. */
export function operationOf(op: number): OperationName | undefined {
  return (Object.keys(OPERATIONS) as OperationName[]).find((name) => OPERATIONS[name].op === op)
}

/** First byte of an answer. Everything but OK comes without a body, so that nothing leaks by text. */
export const STATUS_OK = 0

/** Status bytes of refusals and the code each one means at the other end. */
const STATUS_CODES: Readonly<Record<number, TeeDeviceCode>> = {
  1: 'TEE_REQUEST_MALFORMED',
  2: 'TEE_OPERATION_UNKNOWN',
  3: 'TEE_KEY_REFUSED',
  4: 'TEE_REPORT_REFUSED',
  5: 'TEE_DEVICE_FAILED',
}

/** The code of a refusal's status byte; undefined for OK and for unknown bytes. */
export function codeOfStatus(status: number): TeeDeviceCode | undefined {
  return STATUS_CODES[status]
}

/** The status byte that carries a code; codes without their own byte travel as TEE_DEVICE_FAILED. */
export function statusOfCode(code: TeeDeviceCode): number {
  const found = Object.entries(STATUS_CODES).find(([, name]) => name === code)
  return found === undefined ? 5 : Number(found[0])
}

function exact(op: number, requestSize: number, answerSize: number): Operation {
  return { op, requestSize, minAnswerSize: answerSize, maxAnswerSize: answerSize }
}
