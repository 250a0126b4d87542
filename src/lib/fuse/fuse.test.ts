import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FormatError, Reader, Writer } from '#lib/bytes'
import {
  ERRNO,
  FlatDirectory,
  type FuseAnswer,
  MAX_READ,
  OPCODE,
  parseRequest,
  REPLY_HEADER,
  REQUEST_BUFFER,
  replyHeader,
} from './index.ts'

const directory = new FlatDirectory([
  { name: 'l0', size: 10_000 },
  { name: 'l1', size: 5 },
])

function request(opcode: number, node: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  return new Writer()
    .u32le(40 + body.length)
    .u32le(opcode)
    .u64le(77n)
    .u64le(BigInt(node))
    .zeros(16)
    .bytes(body)
    .finish()
}

function ask(opcode: number, node: number, body?: Uint8Array): FuseAnswer {
  return directory.answer(parseRequest(request(opcode, node, body)))
}

const name = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`)
const readBody = (offset: bigint, size: number): Uint8Array =>
  new Writer().u64le(0n).u64le(offset).u32le(size).zeros(20).finish()

function bodyOf(answer: FuseAnswer): Uint8Array {
  assert.equal(answer.kind, 'body')
  return (answer as { body: Uint8Array }).body
}

test('INIT negotiates 1 MiB requests, no writeback cache and no splice', () => {
  // What Linux 6.18 sends.
  const body = new Writer()
    .u32le(7)
    .u32le(45)
    .u32le(131_072)
    .u32le(0x73fffffb)
    .u32le(0x5fd)
    .zeros(44)
    .finish()
  const r = new Reader(bodyOf(ask(OPCODE.init, 0, body)))
  assert.deepEqual([r.u32le('major'), r.u32le('minor')], [7, 31])
  assert.equal(r.u32le('readahead'), 131_072)
  assert.equal(r.u32le('flags'), 1 | (1 << 18) | (1 << 21) | (1 << 22))
  assert.deepEqual([r.u16le('background'), r.u16le('congestion')], [64, 48])
  assert.equal(r.u32le('max_write'), MAX_READ)
  r.u32le('time_gran')
  assert.equal(r.u16le('max_pages'), 256)
  r.zeros(34, 'rest')
  r.end('init')
  assert.ok(REQUEST_BUFFER >= MAX_READ + 4096)
})

test('a kernel of another major version is refused', () => {
  const answer = ask(OPCODE.init, 0, new Writer().u32le(8).u32le(0).zeros(56).finish())
  assert.deepEqual(answer, { kind: 'error', errno: ERRNO.EINVAL })
})

test('LOOKUP finds the files of the directory and nothing else', () => {
  const r = new Reader(bodyOf(ask(OPCODE.lookup, 1, name('l1'))))
  assert.equal(r.u64le('node'), 3n)
  assert.equal(r.u64le('generation'), 0n)
  r.bytes(24, 'validity')
  assert.equal(r.u64le('ino'), 3n)
  assert.equal(r.u64le('size'), 5n)
  r.bytes(44, 'blocks, times')
  assert.equal(r.u32le('mode'), 0o100400)
  r.bytes(24, 'rest')
  r.end('entry')
  for (const other of ['l2', '.', '..', '', 'constructor', '__proto__', 'l1/x']) {
    assert.deepEqual(ask(OPCODE.lookup, 1, name(other)), { kind: 'error', errno: ERRNO.ENOENT })
  }
  assert.deepEqual(ask(OPCODE.lookup, 2, name('l1')), { kind: 'error', errno: ERRNO.ENOTDIR })
})

test('OPEN asks for direct I/O and refuses to write', () => {
  const open = (flags: number): FuseAnswer =>
    ask(OPCODE.open, 2, new Writer().u32le(flags).u32le(0).finish())
  const r = new Reader(bodyOf(open(0)))
  r.u64le('fh')
  assert.equal(r.u32le('flags'), 3)
  for (const flags of [1, 2, 3]) {
    assert.deepEqual(open(flags), { kind: 'error', errno: ERRNO.EROFS })
  }
  assert.deepEqual(ask(OPCODE.open, 1, new Uint8Array(8)), { kind: 'error', errno: ERRNO.EISDIR })
  for (const opcode of [OPCODE.write, OPCODE.setattr, OPCODE.fallocate]) {
    assert.deepEqual(ask(opcode, 2, new Uint8Array(64)), { kind: 'error', errno: ERRNO.EROFS })
  }
})

test('READ is cut at the end of the file and never names another file', () => {
  assert.deepEqual(ask(OPCODE.read, 2, readBody(4096n, 8192)), {
    kind: 'read',
    file: 0,
    offset: 4096,
    size: 5904,
  })
  assert.equal(bodyOf(ask(OPCODE.read, 3, readBody(5n, 4096))).length, 0)
  assert.equal(bodyOf(ask(OPCODE.read, 3, readBody(2n ** 64n - 1n, 1))).length, 0)
  assert.deepEqual(ask(OPCODE.read, 4, readBody(0n, 1)), { kind: 'error', errno: ERRNO.ENOENT })
  assert.deepEqual(ask(OPCODE.read, 1, readBody(0n, 1)), { kind: 'error', errno: ERRNO.EISDIR })
  assert.throws(() => ask(OPCODE.read, 2, readBody(0n, MAX_READ + 1)), FormatError)
})

test('READDIR lists every entry once, whatever the size of the answers', () => {
  for (const size of [32, 40, 64, 100, 4096]) {
    const seen: string[] = []
    for (let offset = 0n; ; ) {
      const body = bodyOf(ask(OPCODE.readdir, 1, readBody(offset, size)))
      assert.ok(body.length <= size)
      if (body.length === 0) break
      const r = new Reader(body)
      while (r.remaining > 0) {
        r.u64le('ino')
        offset = r.u64le('off')
        const length = r.u32le('namelen')
        r.u32le('type')
        seen.push(new TextDecoder().decode(r.bytes(length, 'name')))
        r.bytes(-(24 + length) & 7, 'padding')
      }
    }
    assert.deepEqual(seen, ['.', '..', 'l0', 'l1'], `size ${size}`)
  }
})

test('FORGET and INTERRUPT get no reply, what is unknown gets ENOSYS', () => {
  for (const opcode of [OPCODE.forget, OPCODE.batchForget, OPCODE.interrupt]) {
    assert.equal(ask(opcode, 2, new Uint8Array(8)).kind, 'none')
  }
  for (const opcode of [22, 34, 39, 44, 47, 52, 4096, 0xffffffff]) {
    assert.deepEqual(ask(opcode, 2), { kind: 'error', errno: ERRNO.ENOSYS })
  }
})

test('a reply header carries the error negated', () => {
  const r = new Reader(replyHeader(9n, 0, ERRNO.EIO))
  assert.equal(r.u32le('len'), REPLY_HEADER)
  assert.equal(r.u32le('error') | 0, -5)
  assert.equal(r.u64le('unique'), 9n)
})

test('parseRequest() refuses truncation at every offset and another length', () => {
  const whole = request(OPCODE.lookup, 1, name('l0'))
  for (let length = 0; length < whole.length; length += 1) {
    assert.throws(() => parseRequest(whole.subarray(0, length)), FormatError, `at ${length}`)
  }
  assert.throws(() => parseRequest(new Uint8Array([...whole, 0])), FormatError)
  assert.throws(
    () => parseRequest(request(OPCODE.lookup, 1, new Uint8Array(3).fill(65))),
    FormatError,
  )
})

test('any bytes give a typed error or an answer inside the files', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(OPCODE), 99),
      fc.bigInt(0n, 5n),
      fc.uint8Array({ maxLength: 80 }),
      (opcode, node, body) => {
        const bytes = request(opcode, 0, body)
        new DataView(bytes.buffer).setBigUint64(16, node, true)
        try {
          const answer = directory.answer(parseRequest(bytes))
          if (answer.kind !== 'read') return
          assert.ok(answer.offset + answer.size <= (answer.file === 0 ? 10_000 : 5))
          assert.ok(answer.size > 0 || body.length > 0)
        } catch (error) {
          assert.ok(error instanceof FormatError)
        }
      },
    ),
  )
})

test('FlatDirectory refuses names that a path could misread', () => {
  for (const bad of ['', '.', '..', 'a/b', 'a\0', 'ä', 'x'.repeat(256)]) {
    assert.throws(() => new FlatDirectory([{ name: bad, size: 1 }]), RangeError)
  }
  const twice = { name: 'l0', size: 1 }
  assert.throws(() => new FlatDirectory([twice, twice]), RangeError)
})
