import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import { toHex, utf8 } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { createTtrpcClient, handlersOf, register, serveTtrpc } from '#lib/ttrpc'
import {
  agentClient,
  type InitHandlers,
  initClient,
  initService,
  RemoteError,
  toStatus,
} from './index.ts'

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
    wait: async () => ({
      exitCode: 137,
      signal: 9,
      code: 'ROOTFS_TAMPERED',
      message: 'chunk 3',
      damaged: 'scratch',
    }),
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
    damaged: 'scratch',
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

test('a call has the bytes of the example in the format page', async () => {
  const [near, far] = duplexPair()
  const client = createTtrpcClient(near)
  const { handover } = agentClient(client)
  // Streams are odd and grow: the third call is stream 5.
  const calls = [0, 1, 2].map(() => handover({ message: Uint8Array.of(1, 2) }).catch(() => {}))
  const expected =
    '0000002b000000050100' +
    `0a19${toHex(utf8('enclave_cc.agent.v1.Agent'))}1208${toHex(utf8('Handover'))}1a040a020102`
  let seen = ''
  for await (const chunk of far) {
    seen += toHex(chunk)
    if (seen.length >= 3 * expected.length) break
  }
  assert.equal(seen.slice(2 * expected.length), expected)
  client.close()
  await Promise.all(calls)
})
