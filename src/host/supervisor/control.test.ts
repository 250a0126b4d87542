import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { CodedError } from '#lib/errors'
import { askControl, type ControlHandlers, serveControl } from './control.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-control-'))
after(() => rmSync(folder, { recursive: true }))
const never = new AbortController().signal

const handlers = (change: Partial<ControlHandlers> = {}): ControlHandlers => ({
  kill: async () => {},
  stop: async () => {},
  wait: async () => 0,
  ...change,
})

test('each request reaches its handler, and its answer or its error comes back', async () => {
  const path = join(folder, 'a.sock')
  const calls: unknown[] = []
  const server = await serveControl(
    path,
    handlers({
      kill: async (signal) => {
        calls.push(['kill', signal])
        throw new CodedError('CONTAINER_NOT_RUNNING', 'too early')
      },
      stop: async (timeout) => void calls.push(['stop', timeout]),
      wait: async () => 42,
    }),
  )
  assert.equal(statSync(path).mode & 0o777, 0o700, 'root alone')
  assert.equal(await askControl(path, { op: 'wait' }, never), 42)
  assert.equal(await askControl(path, { op: 'stop', timeout: 3 }, never), 0)
  const failure = { code: 'CONTAINER_NOT_RUNNING', message: 'too early' }
  await assert.rejects(askControl(path, { op: 'kill', signal: 9 }, never), failure)
  await assert.rejects(askControl(path, { op: 'kill', signal: 0 }, never))
  assert.deepEqual(calls, [
    ['stop', 3],
    ['kill', 9],
  ])
  await server.close()
  assert.equal(existsSync(path), false)
  assert.equal(await askControl(path, { op: 'wait' }, never), undefined)
})

test('close() answers who waits, and is not kept by who says nothing', async () => {
  const path = join(folder, 'b.sock')
  const gone = Promise.withResolvers<number>()
  const asked = Promise.withResolvers<void>()
  const wait = (): Promise<number> => {
    asked.resolve()
    return gone.promise
  }
  const server = await serveControl(path, handlers({ wait }))
  const silent = connect(path).on('error', () => {})
  const waiting = askControl(path, { op: 'wait' }, never)
  await asked.promise
  gone.resolve(7)
  await server.close()
  assert.equal(await waiting, 7)
  silent.destroy()
})

test('a request can be called off', async () => {
  const path = join(folder, 'c.sock')
  const gone = Promise.withResolvers<number>()
  const server = await serveControl(path, handlers({ wait: () => gone.promise }))
  const abort = new AbortController()
  const waiting = askControl(path, { op: 'wait' }, abort.signal)
  abort.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
  gone.resolve(0)
  await server.close()
})

test('a path that a socket cannot have is refused before anything is made', async () => {
  const path = join(folder, 'x'.repeat(108))
  await assert.rejects(serveControl(path, handlers()), { code: 'USAGE', next: /--state/ })
})
