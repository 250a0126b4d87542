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
  ReadRequest,
  replyHeader,
} from './index.ts'

const directory = new FlatDirectory([
  { name: 'l0', size: 10_000 },
  { name: 'l1', size: 5 },
])
const WRITABLE = 2 ** 33
const writable = new FlatDirectory([
  { name: 'scratch', size: WRITABLE, writable: true },
  { name: 'l0', size: 10_000 },
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

function ask(opcode: number, node: number, body?: Uint8Array, of = directory): FuseAnswer {
  return of.answer(parseRequest(request(opcode, node, body)))
}

const name = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`)
const readBody = (offset: bigint, size: number): Uint8Array =>
  new Writer().u64le(0n).u64le(offset).u32le(size).zeros(20).finish()

const writeRequest = (offset: bigint, data: Uint8Array, size = data.length): Uint8Array =>
  new Writer().u64le(0n).u64le(offset).u32le(size).zeros(20).bytes(data).finish()
const fallocateBody = (offset: bigint, length: bigint, mode: number): Uint8Array =>
  new Writer().u64le(0n).u64le(offset).u64le(length).u32le(mode).u32le(0).finish()

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
  const flags = 1 | (1 << 5) | (1 << 15) | (1 << 18) | (1 << 21) | (1 << 22) | (1 << 30)
  assert.equal(r.u32le('flags'), flags)
  assert.deepEqual([r.u16le('background'), r.u16le('congestion')], [64, 48])
  assert.equal(r.u32le('max_write'), MAX_READ)
  r.u32le('time_gran')
  assert.equal(r.u16le('max_pages'), 256)
  r.zeros(2, 'map_alignment')
  assert.equal(r.u32le('flags2'), 1 << 10)
  r.zeros(4, 'stack depth')
  assert.equal(r.u16le('request timeout'), 60)
  r.zeros(22, 'rest')
  r.end('init')
  assert.ok(REQUEST_BUFFER >= MAX_READ + 4096)
})

test('INIT of a kernel without the second word of flags asks for nothing of it', () => {
  // Linux 5.10: 16 bytes.
  const body = new Writer().u32le(7).u32le(32).u32le(131_072).u32le(0x3fffffff).finish()
  const reply = bodyOf(ask(OPCODE.init, 0, body))
  assert.equal(reply.length, 64)
  assert.deepEqual([...reply.subarray(30)], new Array(34).fill(0))
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
  const changes: [number, Uint8Array][] = [
    [OPCODE.write, writeRequest(0n, new Uint8Array(5))],
    [OPCODE.setattr, new Uint8Array(88)],
    [OPCODE.fallocate, fallocateBody(0n, 4096n, 3)],
  ]
  for (const [opcode, body] of changes) {
    assert.deepEqual(ask(opcode, 2, body), { kind: 'error', errno: ERRNO.EROFS })
    assert.deepEqual(ask(opcode, 3, body, writable), { kind: 'error', errno: ERRNO.EROFS })
  }
})

test('a writable file is opened for parallel direct writes and says that it can be written', () => {
  const open = ask(OPCODE.open, 2, new Writer().u32le(2).u32le(0).finish(), writable)
  const r = new Reader(bodyOf(open))
  r.u64le('fh')
  assert.equal(r.u32le('flags'), 1 | 64)
  const attributes = bodyOf(ask(OPCODE.getattr, 2, new Uint8Array(16), writable))
  assert.equal(new DataView(attributes.buffer, attributes.byteOffset).getUint32(76, true), 0o100600)
})

test('WRITE is taken inside the file only, and has exactly the bytes that it names', () => {
  const write = (offset: bigint, data: Uint8Array, size?: number): FuseAnswer =>
    ask(OPCODE.write, 2, writeRequest(offset, data, size), writable)
  const data = Uint8Array.of(1, 2, 3)
  assert.deepEqual(write(BigInt(WRITABLE - 3), data), {
    kind: 'write',
    file: 0,
    offset: WRITABLE - 3,
    data,
  })
  for (const offset of [BigInt(WRITABLE - 2), 2n ** 64n - 1n]) {
    assert.deepEqual(write(offset, data), { kind: 'error', errno: ERRNO.EFBIG })
  }
  for (const size of [0, 2, 4, MAX_READ + 1, 2 ** 32 - 1]) {
    assert.throws(() => write(0n, data, size), FormatError)
  }
  const errno = (node: number): unknown => ask(OPCODE.write, node, writeRequest(0n, data), writable)
  assert.deepEqual(errno(1), { kind: 'error', errno: ERRNO.EISDIR })
  assert.deepEqual(errno(9), { kind: 'error', errno: ERRNO.ENOENT })
})

test('FALLOCATE makes zeros inside the file and does nothing else', () => {
  const ask2 = (offset: bigint, length: bigint, mode: number): FuseAnswer =>
    ask(OPCODE.fallocate, 2, fallocateBody(offset, length, mode), writable)
  for (const mode of [3, 16, 17]) {
    assert.deepEqual(ask2(4096n, 8192n, mode), { kind: 'zero', file: 0, offset: 4096, size: 8192 })
  }
  for (const mode of [0, 1, 2, 8, 32, 64]) {
    assert.deepEqual(ask2(0n, 4096n, mode), { kind: 'error', errno: ERRNO.EOPNOTSUPP })
  }
  assert.deepEqual(ask2(0n, 0n, 3), { kind: 'error', errno: ERRNO.EINVAL })
  for (const [offset, length] of [
    [BigInt(WRITABLE), 1n],
    [1n, 2n ** 64n - 1n],
  ] as const) {
    assert.deepEqual(ask2(offset, length, 3), { kind: 'error', errno: ERRNO.EFBIG })
  }
})

test('SETATTR of a writable file changes nothing, and its size not at all', () => {
  const ask2 = (valid: number): FuseAnswer =>
    ask(OPCODE.setattr, 2, new Writer().u32le(valid).zeros(84).finish(), writable)
  assert.equal(bodyOf(ask2(1 << 5)).length, 104)
  assert.deepEqual(ask2(8), { kind: 'error', errno: ERRNO.EPERM })
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

test('a READ in place is what parseRequest() makes of it, and nothing else is taken for one', () => {
  const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
  const near = fc.constantFrom(0n, 1n, 4096n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n)
  fc.assert(
    fc.property(
      fc.oneof(near, number),
      fc.oneof(near, number),
      fc.oneof(fc.nat(), fc.constantFrom(0, 4096, MAX_READ, MAX_READ + 1, 0xffffffff)),
      (node, offset, size) => {
        const bytes = request(OPCODE.read, 0, readBody(offset, size))
        new DataView(bytes.buffer).setBigUint64(16, node, true)
        const read = new ReadRequest(bytes)
        const plain = node < 2n ** 32n && offset < 2n ** 53n && size <= MAX_READ
        assert.equal(read.parse(bytes.length), plain)
        if (!plain) return
        const parsed = parseRequest(bytes)
        assert.ok(parsed.op === 'read')
        assert.deepEqual([BigInt(read.node), read.unique], [parsed.node, parsed.unique])
        assert.deepEqual([BigInt(read.offset), read.size], [parsed.offset, parsed.size])
        const header = new DataView(new ArrayBuffer(24))
        read.writeReplyHeader(header, 8, size)
        assert.deepEqual(new Uint8Array(header.buffer, 8), replyHeader(parsed.unique, size))
      },
    ),
  )
  const good = request(OPCODE.read, 2, readBody(4096n, 4096))
  for (const [at, value] of [
    [0, 79],
    [4, OPCODE.readdir],
    [4, OPCODE.write],
  ] as const) {
    const bad = Uint8Array.from(good)
    bad[at] = value
    assert.equal(new ReadRequest(bad).parse(bad.length), false)
  }
  for (const length of [0, 40, 79, 81]) {
    const longer = new Uint8Array(96)
    longer.set(good)
    assert.equal(new ReadRequest(longer).parse(length), false)
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
          assert.ok(answer.kind !== 'write' && answer.kind !== 'zero')
          const other = writable.answer(parseRequest(bytes))
          if (other.kind === 'write') assert.ok(other.offset + other.data.length <= WRITABLE)
          if (other.kind === 'zero') assert.ok(other.offset + other.size <= WRITABLE)
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
