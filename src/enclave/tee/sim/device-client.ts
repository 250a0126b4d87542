import type { Duplex } from 'node:stream'
import {
  codeOfStatus,
  encodeFrame,
  FrameDecoder,
  OPERATIONS,
  type OperationName,
  STATUS_OK,
  TeeDeviceError,
} from '#protocol/tee-device'

/** Requests to the TEE device, answered in their order. */
export interface DeviceClient {
  /** The answer's body. Throws TeeDeviceError with the device's code, or TEE_DEVICE_CLOSED. */
  call(operation: OperationName, request: Uint8Array): Promise<Uint8Array>
}

interface Waiting {
  readonly operation: OperationName
  readonly resolve: (body: Uint8Array) => void
  readonly reject: (error: TeeDeviceError) => void
}

const MAX_ANSWER = Math.max(...Object.values(OPERATIONS).map((op) => op.maxAnswerSize))

/**
 * Speaks to the device at the other end of `socket`, which nobody else may read. Any answer that
 * breaks the protocol ends the connection: after it, no answer can be matched to its request.
 */
export function connectDevice(socket: Duplex): DeviceClient {
  const waiting: Waiting[] = []
  const decoder = new FrameDecoder(MAX_ANSWER)
  let ended: TeeDeviceError | undefined

  function end(error: TeeDeviceError): void {
    ended ??= error
    socket.destroy()
    for (const { reject } of waiting.splice(0)) reject(ended)
  }

  socket.on('data', (chunk: Uint8Array) => {
    if (ended !== undefined) return
    try {
      for (const { tag, body } of decoder.push(chunk)) answer(waiting, tag, body)
    } catch (error) {
      end(error instanceof TeeDeviceError ? error : protocol('the answer cannot be read', error))
    }
  })
  socket.on('error', (cause) => end(closed(cause)))
  socket.on('end', () => end(closed()))
  socket.on('close', () => end(closed()))

  return {
    call(operation, request) {
      if (ended !== undefined) return Promise.reject(ended)
      const { op, requestSize } = OPERATIONS[operation]
      if (request.length !== requestSize) {
        const found = `has ${request.length} bytes, ${requestSize} are needed`
        return Promise.reject(
          new TeeDeviceError('TEE_REQUEST_MALFORMED', `asking the TEE device: request ${found}`),
        )
      }
      return new Promise((resolve, reject) => {
        waiting.push({ operation, resolve, reject })
        socket.write(encodeFrame(op, request))
      })
    },
  }
}

function answer(waiting: Waiting[], status: number, body: Uint8Array): void {
  const first = waiting[0]
  if (first === undefined) throw protocol('an answer came without a request')
  const { minAnswerSize, maxAnswerSize } = OPERATIONS[first.operation]
  if (status === STATUS_OK) {
    if (body.length < minAnswerSize || body.length > maxAnswerSize) {
      throw protocol(`the answer to ${first.operation} has ${body.length} bytes`)
    }
    waiting.shift()
    first.resolve(body)
    return
  }
  const code = codeOfStatus(status)
  if (code === undefined || body.length !== 0) throw protocol(`status ${status} is not known`)
  waiting.shift()
  first.reject(new TeeDeviceError(code, `asking the TEE device: ${first.operation} was refused`))
}

function protocol(found: string, cause?: unknown): TeeDeviceError {
  return new TeeDeviceError('TEE_DEVICE_PROTOCOL', `reading the TEE device: ${found}`, { cause })
}

function closed(cause?: unknown): TeeDeviceError {
  return new TeeDeviceError('TEE_DEVICE_CLOSED', 'asking the TEE device: it was closed', { cause })
}
