import { Writer } from '#lib/bytes'
import {
  FlatDirectory,
  type FuseAnswer,
  MAX_READ,
  OPCODE,
  parseRequest,
  ReadRequest,
} from '#lib/fuse'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/**
 * A request of the kernel: a typed error, or an answer that stays inside the files of the directory and
 * changes none but the writable one.
 */
export const target: FuzzTarget = { format: 'fuse', seeds, run: fuzzFuse }

const SIZES = [2 ** 33, 10_000, 5]
const directory = new FlatDirectory(
  SIZES.map((size, i) => ({ name: i === 0 ? 'scratch' : `l${i - 1}`, size, writable: i === 0 })),
)

function fuzzFuse(data: Uint8Array): void {
  const answer = directory.answer(parseRequest(data))
  readInPlace(data, answer)
  if (answer.kind === 'read' || answer.kind === 'zero' || answer.kind === 'write') {
    const length = answer.kind === 'write' ? answer.data.length : answer.size
    const size = SIZES[answer.file]
    if (size === undefined || !(answer.offset >= 0) || answer.offset + length > size) {
      throw new Error(`a ${answer.kind} leaves its file`)
    }
    if (answer.kind !== 'zero' && length > MAX_READ) throw new Error('too long')
    if (answer.kind !== 'read' && answer.file !== 0) throw new Error('a sealed layer is changed')
  }
  if (answer.kind === 'error' && (answer.errno < 1 || answer.errno > 133)) throw new Error('errno')
}

/** What is read in place is what the parser makes of it, or is left to it. */
function readInPlace(data: Uint8Array, answer: FuseAnswer): void {
  const read = new ReadRequest(data)
  if (!read.parse(data.length)) return
  const file = directory.fileOf(read.node)
  const left = directory.sizeOf(file) - read.offset
  const plain = file >= 0 && left > 0
  if (plain !== (answer.kind === 'read')) throw new Error('a READ in place is another answer')
  if (answer.kind !== 'read') return
  const { offset } = read
  const size = Math.min(read.size, left)
  if (answer.file !== file || answer.offset !== offset || answer.size !== size) {
    throw new Error('a READ in place is another read')
  }
}

function* seeds(): Iterable<Uint8Array> {
  const name = new TextEncoder().encode('l0\0')
  const read = new Writer().u64le(0n).u64le(4096n).u32le(4096).zeros(20).finish()
  const write = new Writer()
    .u64le(0n)
    .u64le(4096n)
    .u32le(64)
    .zeros(20 + 64)
    .finish()
  const bodies: [number, Uint8Array][] = [
    [OPCODE.init, new Writer().u32le(7).u32le(45).u32le(131_072).u32le(0x73fffffb).finish()],
    [OPCODE.lookup, name],
    [OPCODE.open, new Uint8Array(8)],
    [OPCODE.read, read],
    [OPCODE.readdir, read],
    [OPCODE.getattr, new Uint8Array(16)],
    [
      OPCODE.setattr,
      new Writer()
        .u32le(1 << 5)
        .zeros(84)
        .finish(),
    ],
    [OPCODE.write, write],
    [OPCODE.fallocate, new Writer().u64le(0n).u64le(4096n).u64le(8192n).u32le(3).u32le(0).finish()],
    [OPCODE.fsync, new Uint8Array(16)],
    [OPCODE.batchForget, new Uint8Array(24)],
  ]
  for (const [opcode, body] of bodies) {
    for (const node of [1n, 2n, 3n]) {
      yield new Writer()
        .u32le(40 + body.length)
        .u32le(opcode)
        .u64le(1n)
        .u64le(node)
        .zeros(16)
        .bytes(body)
        .finish()
    }
  }
}
