import assert from 'node:assert/strict'
import { Writer } from '#lib/bytes'
import { FlatDirectory, MAX_READ, OPCODE, parseRequest } from '#lib/fuse'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/** One read of /dev/fuse: a typed error, or an answer that stays inside the file and inside the size asked for. */
export const target: FuzzTarget = { format: 'fuse', seeds, run: fuzzRequest }

const SIZE = 1_000_000
const DIRECTORY = new FlatDirectory([
  { name: 'layer-0.erofs', size: SIZE },
  { name: 'empty', size: 0 },
])

function request(opcode: number, node: bigint, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  return new Writer()
    .u32le(40 + body.length)
    .u32le(opcode)
    .u64le(7n)
    .u64le(node)
    .zeros(16)
    .bytes(body)
    .finish()
}

function* seeds(): Generator<Uint8Array> {
  const words = (...values: number[]): Uint8Array => {
    const w = new Writer()
    for (const value of values) w.u32le(value)
    return w.finish()
  }
  yield request(OPCODE.init, 0n, words(7, 38, 65_536, 0xffffffff))
  yield request(OPCODE.lookup, 1n, new TextEncoder().encode('layer-0.erofs\0'))
  yield request(OPCODE.open, 2n, words(0, 0))
  yield request(OPCODE.opendir, 1n, words(0, 0))
  yield request(OPCODE.read, 2n, words(0, 0, SIZE - 100, 0, 4096, 0, 0, 0, 0, 0))
  yield request(OPCODE.readdir, 1n, words(0, 0, 0, 0, 4096, 0, 0, 0, 0, 0))
  yield request(OPCODE.forget, 2n, words(1, 0))
  for (const opcode of Object.values(OPCODE)) {
    if (![OPCODE.init, OPCODE.lookup, OPCODE.open, OPCODE.opendir].includes(opcode as never)) {
      yield request(opcode, 3n, words(0, 0, 0, 0, 1, 0, 0, 0, 0, 0))
    }
  }
}

function fuzzRequest(data: Uint8Array): void {
  const parsed = parseRequest(data)
  const answer = DIRECTORY.answer(parsed)
  if (answer.kind === 'read') {
    assert.ok(answer.file === 0 || answer.file === 1)
    assert.ok(Number.isSafeInteger(answer.offset) && answer.offset >= 0 && answer.size >= 0)
    assert.ok(answer.size <= MAX_READ && answer.offset + answer.size <= SIZE)
  } else if (answer.kind === 'body' && parsed.op === 'readdir') {
    assert.ok(answer.body.length <= parsed.size)
  } else if (answer.kind === 'error') assert.ok(answer.errno > 0)
}
