import { rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { CodedError } from '#lib/errors'
import { integer, object, oneOf, string } from '#lib/json'
import { jsonLine, jsonLines } from '#lib/json-lines'

const MAX_LINE = 64 * 1024

/** What another command may ask a container's supervisor. */
export type ControlRequest =
  | { readonly op: 'kill'; readonly signal: number }
  | { readonly op: 'stop'; readonly timeout: number }
  | { readonly op: 'wait' }

/** What the supervisor does for control requests; each resolves when it is done. */
export interface ControlHandlers {
  kill(signal: number): Promise<void>
  /** TERM, after `timeout` seconds KILL; resolves when the container has ended. */
  stop(timeout: number): Promise<void>
  /** Resolves with the exit code. */
  wait(): Promise<number>
}

/** Serves control requests on a unix socket, one a connection; root alone can connect. */
export async function serveControl(path: string, handlers: ControlHandlers): Promise<Server> {
  rmSync(path, { force: true })
  const server = createServer((socket) => void serveOne(socket, handlers))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const before = process.umask(0o077)
    server.listen(path, resolve)
    process.umask(before)
  })
  return server
}

async function serveOne(socket: Socket, handlers: ControlHandlers): Promise<void> {
  socket.on('error', () => {})
  try {
    for await (const line of jsonLines(socket, MAX_LINE)) {
      const request = object(line, 'request')
      const op = oneOf(request.op, 'request.op', ['kill', 'stop', 'wait'])
      let exitCode = 0
      if (op === 'kill') await handlers.kill(integer(request.signal, 'request.signal', 0, 64))
      if (op === 'stop') await handlers.stop(integer(request.timeout, 'request.timeout'))
      if (op === 'wait') exitCode = await handlers.wait()
      socket.end(jsonLine({ ok: true, exitCode }))
      return
    }
  } catch (error) {
    socket.end(jsonLine({ ok: false, message: (error as Error).message }))
  }
}

/**
 * Asks a supervisor. Resolves with the exit code for `wait`, else 0. Throws CodedError
 * CONTAINER_NOT_RUNNING where no supervisor answers.
 */
export async function askControl(
  path: string,
  request: ControlRequest,
  signal: AbortSignal,
): Promise<number> {
  const socket = connect(path)
  const onAbort = (): void => void socket.destroy(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    socket.write(jsonLine(request))
    for await (const line of jsonLines(socket, MAX_LINE)) {
      const answer = object(line, 'answer')
      if (answer.ok !== true) throw new Error(string(answer.message, 'answer.message'))
      return integer(answer.exitCode, 'answer.exitCode')
    }
    throw new Error('the supervisor closed the connection')
  } catch (cause) {
    signal.throwIfAborted()
    throw new CodedError('CONTAINER_NOT_RUNNING', 'asking the supervisor of the container failed', {
      cause,
    })
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket.destroy()
  }
}
