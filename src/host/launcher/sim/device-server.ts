import type { Duplex } from 'node:stream'
import { Reader } from '#lib/bytes'
import {
  encodeFrame,
  FrameDecoder,
  OPERATIONS,
  type OperationName,
  operationOf,
  REPORTDATA_SIZE,
  STATUS_OK,
  statusOfCode,
  TARGETINFO_SIZE,
  TeeDeviceError,
} from '#protocol/tee-device'
import type { Cpu } from './cpu.ts'
import type { QuotingEnclave } from './quoting-enclave.ts'
import type { EnclaveIdentity } from './secs.ts'

/** The device of one enclave, until it is closed. */
export interface ServedDevice {
  /** Ends the device; the enclave sees its socket close. */
  close(): void
  /** Settles when the device has ended: by `close`, by the enclave's exit or by a broken frame. */
  readonly closed: Promise<void>
}

/** What a device answers from. */
export interface DeviceParts {
  readonly cpu: Cpu
  readonly quotingEnclave: QuotingEnclave
  readonly collateral: () => Promise<Uint8Array>
  /**
   * Hears of what goes wrong on this side and of frames that break the protocol; refusals, which
   * any enclave can cause, are not among it.
   */
  readonly onFailure?: ((error: unknown) => void) | undefined
}

const MAX_REQUEST = Math.max(...Object.values(OPERATIONS).map((op) => op.requestSize))

/**
 * Answers the requests of the enclave at the other end of `socket`, one after the other. The
 * identity is fixed here and nothing in a request can name another: an enclave gets reports and
 * keys of itself alone.
 */
export function serveDevice(
  parts: DeviceParts,
  socket: Duplex,
  identity: EnclaveIdentity,
): ServedDevice {
  const closed = answerAll(parts, socket, identity)
    // A lost or misbehaving enclave ends its own device and nothing else.
    .catch((error: unknown) => {
      if (error instanceof TeeDeviceError) parts.onFailure?.(error)
    })
    .finally(() => socket.destroy())
    .then(() => undefined)
  return { close: () => socket.destroy(), closed }
}

async function answerAll(
  parts: DeviceParts,
  socket: Duplex,
  identity: EnclaveIdentity,
): Promise<void> {
  const decoder = new FrameDecoder(MAX_REQUEST)
  for await (const chunk of socket) {
    for (const { tag, body } of decoder.push(chunk as Uint8Array)) {
      const answer = await answerOne(parts, identity, tag, body)
      if (!socket.write(answer)) await drained(socket)
    }
  }
}

async function answerOne(
  parts: DeviceParts,
  identity: EnclaveIdentity,
  op: number,
  request: Uint8Array,
): Promise<Uint8Array> {
  try {
    const name = operationOf(op)
    if (name === undefined) throw new TeeDeviceError('TEE_OPERATION_UNKNOWN', `operation ${op}`)
    if (request.length !== OPERATIONS[name].requestSize) {
      throw new TeeDeviceError('TEE_REQUEST_MALFORMED', `${name} with ${request.length} bytes`)
    }
    return encodeFrame(STATUS_OK, await perform(parts, identity, name, request))
  } catch (error) {
    const refusal = error instanceof TeeDeviceError
    if (!refusal) parts.onFailure?.(error)
    const code = refusal ? error.code : 'TEE_DEVICE_FAILED'
    return encodeFrame(statusOfCode(code), new Uint8Array(0))
  }
}

function perform(
  parts: DeviceParts,
  identity: EnclaveIdentity,
  name: OperationName,
  request: Uint8Array,
): Uint8Array | Promise<Uint8Array> {
  const reader = new Reader(request)
  switch (name) {
    case 'report': {
      const targetInfo = reader.bytes(TARGETINFO_SIZE, 'TARGETINFO')
      const reportData = reader.bytes(REPORTDATA_SIZE, 'REPORTDATA')
      return parts.cpu.report(identity, targetInfo, reportData)
    }
    case 'key':
      return parts.cpu.key(identity, request)
    case 'quotingTarget':
      return parts.quotingEnclave.targetInfo()
    case 'quote':
      return parts.quotingEnclave.quote(request)
    case 'collateral':
      return parts.collateral()
  }
}

async function drained(socket: Duplex): Promise<void> {
  if (socket.destroyed) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}
