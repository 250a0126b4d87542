import assert from 'node:assert/strict'
import { type Duplex, duplexPair } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, fromHex, fromUtf8, toHex, utf8 } from '#lib/bytes'
import { type Codec, message, string } from '#lib/protobuf'
import { request, response } from './envelope.ts'
import { encodeFrame, type Frame, FrameDecoder, MAX_BODY } from './frame.ts'
import {
  createTtrpcClient,
  type Handler,
  handlersOf,
  type Method,
  register,
  type Service,
  STATUS,
  StatusError,
  serveTtrpc,
  serviceClient,
} from './index.ts'

interface Text {
  readonly text: string
}
const text: Codec<Text> = message<Text>('t.Text', { text: string(1) })
type EchoMethods = { readonly echo: Method<Text, Text> }
const echo: Service<EchoMethods> = {
  name: 't.Echo',
  methods: { echo: { name: 'Echo', input: text, output: text } },
}

function connect(handler: Handler, options: { maxConcurrent?: number } = {}) {
  const [near, far] = duplexPair()
  const handlers = new Map([['t.Echo', new Map([['Echo', handler]])]])
  return {
    client: createTtrpcClient(near),
    near,
    served: serveTtrpc(far, { handlers, ...options }),
  }
}

test('a request has the bytes that containerd 1.6.20 sends', () => {
  const body = request.encode({
    service: 'containerd.task.v2.Task',
    method: 'State',
    payload: fromHex('0a026333', 'x'),
    timeoutNano: 1_999_948_915n,
    metadata: [],
  })
  const service = `0a17${toHex(utf8('containerd.task.v2.Task'))}`
  const expected = `${service}1205${toHex(utf8('State'))}1a040a02633320f398d3b907`
  assert.equal(toHex(encodeFrame(1, 9, body)), `0000002c00000009${'01'}00${expected}`)
  assert.equal(request.decode(fromHex(expected, 'x')).timeoutNano, 1_999_948_915n)
})

test('frames are the same however the stream is cut', () => {
  const frames = [
    encodeFrame(1, 1, utf8('one')),
    encodeFrame(2, 3, utf8('')),
    encodeFrame(9, 5, utf8('x')),
  ]
  const all = concat(...frames)
  fc.assert(
    fc.property(fc.array(fc.nat(all.length)), (cuts) => {
      const decoder = new FrameDecoder()
      const seen: Frame[] = []
      const places = [0, ...cuts.sort((a, b) => a - b), all.length]
      for (let i = 1; i < places.length; i++) {
        seen.push(...decoder.push(all.subarray(places[i - 1], places[i])))
      }
      assert.deepEqual(
        seen.map((frame) => [frame.type, frame.streamId, fromUtf8(frame.body, 'x')]),
        [
          [1, 1, 'one'],
          [2, 3, ''],
          [9, 5, 'x'],
        ],
      )
      assert.equal(decoder.idle, true)
    }),
  )
})

test('a frame above 4 MiB is skipped without being kept, and the stream goes on', () => {
  const decoder = new FrameDecoder()
  const header = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 1, 0)
  assert.deepEqual([...decoder.push(header)], [])
  const chunk = new Uint8Array(16 * 1024 * 1024)
  const before = process.memoryUsage().arrayBuffers
  const seen: Frame[] = []
  for (let sent = 0; sent < 256; sent++)
    seen.push(...decoder.push(sent < 255 ? chunk : chunk.subarray(1)))
  assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024)
  assert.deepEqual(
    seen.map((frame) => [frame.oversize, frame.body.length]),
    [[true, 0]],
  )
  assert.equal([...decoder.push(encodeFrame(1, 3, utf8('x')))].length, 1)
  assert.throws(() => encodeFrame(1, 1, new Uint8Array(MAX_BODY + 1)), { code: 'FORMAT_LIMIT' })
})

test('calls run concurrently and may be answered out of order', async () => {
  const gates = new Map<string, PromiseWithResolvers<void>>()
  const { client } = connect(async (payload) => {
    const key = fromUtf8(payload, 'x')
    await gates.get(key)?.promise
    return payload
  })
  gates.set('slow', Promise.withResolvers())
  const slow = client.call('t.Echo', 'Echo', utf8('slow'))
  assert.equal(fromUtf8(await client.call('t.Echo', 'Echo', utf8('fast')), 'x'), 'fast')
  gates.get('slow')?.resolve()
  assert.equal(fromUtf8(await slow, 'x'), 'slow')
  client.close()
})

test('typed stubs carry messages both ways', async () => {
  const [near, far] = duplexPair()
  const handlers = handlersOf(
    register(echo, { echo: async (input) => ({ text: `${input.text}!` }) }),
  )
  const served = serveTtrpc(far, { handlers })
  await using client = createTtrpcClient(near)
  assert.deepEqual(await serviceClient(echo, client).echo({ text: 'hello' }), { text: 'hello!' })
  client.close()
  await served
})

test('an unknown service or method is UNIMPLEMENTED, with the text containerd expects', async () => {
  const { client } = connect(async (payload) => payload)
  await assert.rejects(client.call('t.None', 'X', utf8('')), {
    message: 'service t.None',
    status: 12,
  })
  await assert.rejects(client.call('t.Echo', 'constructor', utf8('')), {
    code: 'TTRPC_STATUS',
    message: 'method constructor',
    status: STATUS.UNIMPLEMENTED,
  })
  client.close()
})

test('a status of the handler arrives with code, message and details', async () => {
  const { client } = connect(async () => {
    throw new StatusError(STATUS.NOT_FOUND, 'no such thing', [{ typeUrl: 't', value: utf8('d') }])
  })
  const error = await client.call('t.Echo', 'Echo', utf8('')).catch((e) => e)
  assert.equal(error.status, STATUS.NOT_FOUND)
  assert.equal(error.message, 'no such thing')
  assert.equal(error.statusDetails[0].typeUrl, 't')
  client.close()
})

test('a call without an answer ends at its time limit, and the server is told of it', async () => {
  const aborted = Promise.withResolvers<void>()
  const { client } = connect(async (payload, { signal }) => {
    signal.addEventListener('abort', () => aborted.resolve())
    await aborted.promise
    return payload
  })
  await assert.rejects(client.call('t.Echo', 'Echo', utf8(''), { timeoutMs: 5 }), {
    code: 'TTRPC_TIMEOUT',
  })
  await aborted.promise
  client.close()
})

test('a call is given up by its signal, and its late answer is dropped', async () => {
  const gate = Promise.withResolvers<void>()
  const { client } = connect(async (payload) => {
    if (payload.length > 0) await gate.promise
    return payload
  })
  const controller = new AbortController()
  const call = client.call('t.Echo', 'Echo', utf8('x'), { signal: controller.signal })
  controller.abort()
  await assert.rejects(call, { code: 'TTRPC_CANCELLED' })
  gate.resolve()
  assert.equal((await client.call('t.Echo', 'Echo', utf8(''))).length, 0)
  client.close()
})

test('open calls fail with TTRPC_CLOSED when the peer goes', async () => {
  const [near, far] = duplexPair()
  const client = createTtrpcClient(near)
  const call = client.call('t.Echo', 'Echo', utf8(''))
  far.destroy()
  near.push(null)
  await assert.rejects(call, { code: 'TTRPC_CLOSED' })
  await client.closed
  await assert.rejects(client.call('t.Echo', 'Echo', utf8('')), { code: 'TTRPC_CLOSED' })
})

test('an answer that no frame can carry is refused instead of left out', async () => {
  const { client } = connect(async () => new Uint8Array(MAX_BODY))
  const call = client.call('t.Echo', 'Echo', new Uint8Array(0), { timeoutMs: 5000 })
  await assert.rejects(call, { code: 'TTRPC_STATUS', status: STATUS.RESOURCE_EXHAUSTED })
  client.close()
})

test('the server bounds the calls that are open at the same time', async () => {
  const gate = Promise.withResolvers<void>()
  const { client } = connect(
    async (payload) => {
      await gate.promise
      return payload
    },
    { maxConcurrent: 2 },
  )
  const open = [client.call('t.Echo', 'Echo', utf8('')), client.call('t.Echo', 'Echo', utf8(''))]
  await assert.rejects(client.call('t.Echo', 'Echo', utf8('')), {
    status: STATUS.RESOURCE_EXHAUSTED,
  })
  gate.resolve()
  await Promise.all(open)
  client.close()
})

test('even stream ids, bad bodies and unknown frame types are answered or ignored, never fatal', async () => {
  const [near, far] = duplexPair()
  const served = serveTtrpc(far, { handlers: new Map() })
  near.write(encodeFrame(7, 1, utf8('ignored')))
  near.write(encodeFrame(1, 2, utf8('')))
  near.write(encodeFrame(1, 3, Uint8Array.of(0xff)))
  const decoder = new FrameDecoder()
  const seen: [number, number | undefined][] = []
  for await (const chunk of near as Duplex) {
    for (const frame of decoder.push(chunk)) {
      seen.push([frame.streamId, response.decode(frame.body).status?.code])
    }
    if (seen.length === 2) break
  }
  assert.deepEqual(seen, [
    [2, STATUS.INVALID_ARGUMENT],
    [3, STATUS.INVALID_ARGUMENT],
  ])
  near.destroy()
  far.destroy()
  await served
})
