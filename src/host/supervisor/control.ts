import { rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { CodedError, isCoded } from '#lib/errors'
import { integer, type JsonValue, object, oneOf, optional, string } from '#lib/json'
import { jsonLine, jsonLines } from '#lib/json-lines'

const MAX_LINE = 64 * 1024
const MAX_SECONDS = 1_000_000
// struct sockaddr_un holds 108 bytes, the last of them zero; longer paths would be cut off silently
const MAX_PATH = 107

/** What another command may ask a container's supervisor. */
export type ControlRequest =
  | { readonly op: 'kill'; readonly signal: number }
  | { readonly op: 'stop'; readonly timeout: number }
  | { readonly op: 'wait' }

/** What the supervisor does for control requests; each resolves when it is done. */
export interface ControlHandlers {
  kill(signal: number): Promise<void>
  /** The image's stop signal, after `timeout` seconds KILL; resolves when nothing is left of the container's processes. */
  stop(timeout: number): Promise<void>
  /** Resolves with the exit code, at the same moment. */
  wait(): Promise<number>
}

/** A control socket that is served. */
export interface ControlServer {
  /** Answers who waits for handlers that are done, then ends all connections and removes the socket. */
  close(): Promise<void>
}

/**
 * Serves control requests on a unix socket, one a connection; root alone can connect. Throws CodedError
 * USAGE where the path is too long for a socket.
 */
export async function serveControl(
  path: string,
  handlers: ControlHandlers,
): Promise<ControlServer> {
  if (Buffer.byteLength(path) > MAX_PATH) {
    throw new CodedError('USAGE', `the state directory is too deep for a socket: ${path}`, {
      next: `choose a --state whose path is at least ${Buffer.byteLength(path) - MAX_PATH} bytes shorter`,
    })
  }
  rmSync(path, { force: true })
  const open = new Map<Socket, Promise<void>>()
  const server = createServer((socket) => {
    const served = serveOne(socket, handlers).finally(() => open.delete(socket))
    open.set(socket, served)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const before = process.umask(0o077)
    server.listen(path, resolve)
    process.umask(before)
  })
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      // Everybody's handlers are done by now, so each has its answer soon. Whoever sent no request, or
      // does not read, must not keep us.
      const patience = setTimeout(() => {
        for (const socket of open.keys()) socket.destroy()
      }, 2000)
      await closed
      clearTimeout(patience)
      rmSync(path, { force: true })
    },
  }
}

async function serveOne(socket: Socket, handlers: ControlHandlers): Promise<void> {
  socket.on('error', () => {})
  let answer: Record<string, unknown>
  try {
    const { value, done } = await jsonLines(socket, MAX_LINE).next()
    if (done === true) return
    answer = { ok: true, exitCode: await handle(value, handlers) }
  } catch (error) {
    const code = isCoded(error) ? error.code : 'INTERNAL'
    answer = { ok: false, code, message: (error as Error).message.slice(0, 1000) }
  }
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
    socket.end(jsonLine(answer), () => socket.destroySoon())
  })
}

async function handle(line: JsonValue, handlers: ControlHandlers): Promise<number> {
  const request = object(line, 'request')
  switch (oneOf(request.op, 'request.op', ['kill', 'stop', 'wait'])) {
    case 'kill':
      await handlers.kill(integer(request.signal, 'request.signal', 1, 64))
      return 0
    case 'stop':
      await handlers.stop(integer(request.timeout, 'request.timeout', 0, MAX_SECONDS))
      return 0
    default:
      return await handlers.wait()
  }
}

/**
 * Asks a supervisor. Resolves with the exit code for `wait`, else 0; undefined where no supervisor
 * answers (not yet, or not any more). Throws the CodedError that the supervisor answers.
 */
export async function askControl(
  path: string,
  request: ControlRequest,
  signal: AbortSignal,
): Promise<number | undefined> {
  signal.throwIfAborted()
  const socket = connect(path)
  const onAbort = (): void => void socket.destroy(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  let answer: ReturnType<typeof object>
  try {
    socket.write(jsonLine(request))
    const { value, done } = await jsonLines(socket, MAX_LINE).next()
    if (done === true) return undefined
    answer = object(value, 'answer')
  } catch {
    signal.throwIfAborted()
    return undefined
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket.destroy()
  }
  if (answer.ok === true) return integer(answer.exitCode, 'answer.exitCode')
  throw new CodedError(
    string(optional(answer.code, (code) => string(code, 'answer.code')) ?? 'INTERNAL', 'code'),
    string(answer.message, 'answer.message'),
  )
}
