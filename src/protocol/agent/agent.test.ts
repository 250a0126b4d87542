import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { createTtrpcClient, handlersOf, register, serveTtrpc } from '#lib/ttrpc'
import { type InitHandlers, initClient, initService, RemoteError, toStatus } from './index.ts'

function connect(handlers: Partial<InitHandlers>) {
  const [near, far] = duplexPair()
  const served = serveTtrpc(far, {
    handlers: handlersOf(register(initService, handlers as InitHandlers)),
    toStatus,
  })
  const client = createTtrpcClient(near)
  return { init: initClient(client), end: () => client[Symbol.asyncDispose]().then(() => served) }
}

test('every field of a call arrives', async () => {
  const { init, end } = connect({
    begin: async ({ launchId }) => ({ message: launchId }),
    wait: async () => ({ exitCode: 137, signal: 9, code: 'ROOTFS_TAMPERED', message: 'chunk 3' }),
    kill: async ({ signal, all }) => {
      assert.deepEqual([signal, all], [15, true])
      return {}
    },
  })
  assert.deepEqual((await init.begin({ launchId: utf8('x') })).message, utf8('x'))
  assert.deepEqual(await init.wait({}), {
    exitCode: 137,
    signal: 9,
    code: 'ROOTFS_TAMPERED',
    message: 'chunk 3',
  })
  await init.kill({ signal: 15, all: true })
  await end()
})

test('a coded error crosses the boundary with code, next step, correlation id and details', async () => {
  const { init, end } = connect({
    start: async () => {
      throw new CodedError('LAUNCH_ARGS_REFUSED', 'running with arguments: refused', {
        next: 'permit (…);',
        correlationId: 'c-1',
        retryable: false,
        details: { field: 'args' },
      })
    },
  })
  const error = await init.start({}).catch((e) => e)
  assert.ok(error instanceof RemoteError)
  assert.deepEqual(
    [
      error.code,
      error.message,
      error.next,
      error.correlationId,
      error.retryable,
      error.details?.field,
    ],
    ['LAUNCH_ARGS_REFUSED', 'running with arguments: refused', 'permit (…);', 'c-1', false, 'args'],
  )
  await end()
})

test('a defect inside the enclave shows nothing of its text', async () => {
  const { init, end } = connect({
    start: async () => {
      throw new TypeError('secret-in-text')
    },
  })
  const error = await init.start({}).catch((e) => e)
  assert.equal(error.code, 'INTERNAL')
  assert.doesNotMatch(JSON.stringify([error.message, error.details, error.cause]), /secret/)
  await end()
})
