import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  CHUNK_STATE,
  createScratchCipher,
  createScratchTable,
  LOCK_WORDS,
  NonceCounter,
  SCRATCH_CHUNK,
  type ScratchFile,
  ScratchStore,
  scratchBuffer,
  scratchChunks,
} from './index.ts'

const C = SCRATCH_CHUNK
const CHUNKS = 8
const SIZE = CHUNKS * C

/** The host's file as an array, with the faults that a host can have. */
class ArrayFile implements ScratchFile {
  bytes: Uint8Array
  /** Bytes that still fit before the disk is full. */
  room = Number.POSITIVE_INFINITY
  code = 'ENOSPC'
  reads = 0
  punched: [number, number][] = []

  constructor(size = SIZE) {
    this.bytes = new Uint8Array(size)
  }
  read(into: Uint8Array, position: number): number {
    this.reads += 1
    // short reads, as a host may give them
    const length = Math.min(into.length, this.bytes.length - position, 3000)
    into.set(this.bytes.subarray(position, position + length))
    return Math.max(0, length)
  }
  write(from: Uint8Array, position: number): number {
    if (this.room <= 0) throw Object.assign(new Error('full'), { code: this.code })
    const length = Math.min(from.length, this.room)
    this.room -= length
    this.bytes.set(from.subarray(0, length), position)
    return length
  }
  punch(position: number, length: number): void {
    this.punched.push([position, length])
    this.bytes.fill(0, position, position + length)
  }
}

function open(size = SIZE, limit?: number) {
  const table = createScratchTable(size)
  const key = new Uint8Array(randomBytes(32))
  const file = new ArrayFile(size)
  const store = (worker: number): ScratchStore =>
    new ScratchStore({
      table,
      cipher: createScratchCipher(key),
      file,
      nonces: new NonceCounter(worker, limit),
    })
  const scratch = store(1)
  const read = (offset: number, length: number): Uint8Array => {
    const result = scratch.read(new Uint8Array(scratchBuffer(length)), offset, length)
    if (!result.ok) assert.fail(`read: ${result.why} of chunk ${result.chunk}`)
    return new Uint8Array(result.data)
  }
  const why = (offset: number, length: number): string => {
    const buffer = new Uint8Array(scratchBuffer(length)).fill(7)
    const result = scratch.read(buffer, offset, length)
    if (result.ok) return 'ok'
    const touched = Math.ceil((offset + length) / C) - Math.floor(offset / C)
    assert.ok(
      buffer.subarray(0, touched * C).every((b) => b === 0),
      'plaintext stayed in the buffer',
    )
    return result.why
  }
  return { table, file, store, scratch, read, why }
}

const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)

test('any writes, reads and discards through two stores agree with a plain array', () => {
  const range = fc.tuple(fc.nat(SIZE), fc.nat(3 * C)).map(([a, b]) => {
    const offset = Math.min(a, SIZE)
    return { offset, length: Math.min(b, SIZE - offset) }
  })
  const step = fc.record({
    kind: fc.constantFrom('write', 'write', 'read', 'discard'),
    range: fc.oneof(
      range,
      range.map(({ offset }) => ({ offset: offset - (offset % C), length: C * 2 })),
    ),
    worker: fc.constantFrom(0, 1),
    byte: fc.integer({ min: 1, max: 255 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { store, file, table } = open()
      const workers = [store(1), store(2)]
      const model = new Uint8Array(SIZE)
      for (const { kind, range, worker, byte } of steps) {
        const offset = range.offset
        const length = Math.min(range.length, SIZE - offset)
        const scratch = workers[worker] as ScratchStore
        if (kind === 'write') {
          assert.deepEqual(scratch.write(filled(length, byte), offset), { ok: true })
          model.fill(byte, offset, offset + length)
        } else if (kind === 'discard') {
          assert.deepEqual(scratch.discard(offset, length), { ok: true })
          model.fill(0, offset, offset + length)
        } else {
          const result = scratch.read(new Uint8Array(scratchBuffer(length)), offset, length)
          assert.ok(result.ok)
          assert.deepEqual(
            Buffer.from(result.data),
            Buffer.from(model.subarray(offset, offset + length)),
          )
        }
      }
      const all = workers[0]?.read(new Uint8Array(scratchBuffer(SIZE)), 0, SIZE)
      assert.ok(all?.ok)
      assert.deepEqual(Buffer.from(all.data), Buffer.from(model))
      assert.ok(
        table.locks.every((word) => word === 0),
        'a lock was kept',
      )
      // What the host has of a written chunk is not what was written.
      for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
        const [at, to] = [chunk * C, (chunk + 1) * C]
        if (table.states[chunk] !== CHUNK_STATE.written) continue
        assert.notDeepEqual(file.bytes.subarray(at, to), model.subarray(at, to))
      }
    }),
  )
})

test('no nonce comes twice, whoever writes and however often', () => {
  const { store, table } = open()
  const [a, b] = [store(1), store(2)]
  const seen = new Set<string>()
  for (let round = 0; round < 50; round += 1) {
    for (const scratch of [a, b]) {
      scratch.write(filled(round % 2 === 0 ? C : 10, 1), 0)
      const nonce = Buffer.from(table.nonces.subarray(0, 12)).toString('hex')
      assert.ok(!seen.has(nonce), nonce)
      seen.add(nonce)
    }
  }
  assert.ok(seen.has(`00000002${'0'.repeat(14)}0a`))
})

test('holes are zeros and never read from the file, whatever the host put there', () => {
  const { file, read, scratch } = open()
  file.bytes.fill(0x55)
  assert.ok(read(0, SIZE).every((b) => b === 0))
  assert.equal(file.reads, 0)
  scratch.write(filled(C, 9), C)
  scratch.discard(C, C)
  file.bytes.fill(0x55)
  assert.ok(read(0, SIZE).every((b) => b === 0))
  assert.equal(file.reads, 0)
  assert.deepEqual(file.punched, [[C, C]])
})

test('an older version, another chunk, a flipped bit, zeros and a cut file are tampered, others read on', () => {
  const cases: Record<string, (file: ArrayFile, old: Uint8Array) => void> = {
    replay: (file, old) => file.bytes.set(old),
    swap: (file) => {
      const first = new Uint8Array(file.bytes.subarray(0, C))
      file.bytes.set(file.bytes.subarray(C, 2 * C), 0)
      file.bytes.set(first, C)
    },
    flip: (file) => {
      file.bytes[77] = (file.bytes[77] ?? 0) ^ 1
    },
    zeros: (file) => file.bytes.fill(0, 0, C),
    cut: (file) => {
      file.bytes = file.bytes.subarray(0, 100)
    },
  }
  for (const [name, attack] of Object.entries(cases)) {
    const { file, scratch, read, why } = open()
    scratch.write(filled(3 * C, 1), 0)
    const old = new Uint8Array(file.bytes.subarray(0, C))
    scratch.write(filled(C, 2), 0)
    assert.ok(read(0, C).every((b) => b === 2))
    attack(file, old)
    assert.equal(why(0, C), 'tampered', name)
    assert.equal(why(100, 1), 'tampered', name)
    // A write of a part has to read the rest first.
    assert.deepEqual(scratch.write(filled(1, 3), 5), { ok: false, why: 'tampered', chunk: 0 })
    if (name !== 'cut') assert.ok(read(2 * C, C).every((b) => b === 1))
    // A whole write makes it good again.
    if (name !== 'cut') {
      assert.deepEqual(scratch.write(filled(C, 4), 0), { ok: true })
      assert.ok(read(0, C).every((b) => b === 4))
    }
  }
})

test('after a write that failed no old data come back, and the chunk can be written again', () => {
  for (const [code, why] of [
    ['ENOSPC', 'full'],
    ['EDQUOT', 'full'],
    ['EIO', 'failed'],
  ] as const) {
    const at = open()
    at.scratch.write(filled(4 * C, 1), 0)
    at.file.code = code
    // One chunk arrives whole, half of the next, nothing of the others.
    at.file.room = C + C / 2
    assert.deepEqual(at.scratch.write(filled(4 * C, 2), 0), { ok: false, why, chunk: 1 })
    assert.ok(at.read(0, C).every((b) => b === 2))
    for (const chunk of [1, 2, 3]) assert.equal(at.why(chunk * C, C), 'lost')
    assert.deepEqual(at.scratch.write(filled(9, 1), C), { ok: false, why: 'lost', chunk: 1 })
    at.file.room = Number.POSITIVE_INFINITY
    assert.deepEqual(at.scratch.write(filled(C, 3), C), { ok: true })
    assert.ok(at.read(C, C).every((b) => b === 3))
    assert.deepEqual(at.scratch.discard(2 * C, C), { ok: true })
    assert.ok(at.read(2 * C, C).every((b) => b === 0))
    assert.equal(at.why(3 * C, C), 'lost')
  }
})

test('a write that fails in one part does not begin the next: those chunks hold what they held', () => {
  const ones = (bytes: Uint8Array): boolean => bytes.every((b) => b === 1)
  const at = open()
  at.scratch.write(filled(6 * C, 1), 0)
  // Inside chunk 0, all of 1 to 3, inside chunk 4.
  const [offset, length] = [C / 2, 4 * C]
  at.file.room = 0
  assert.deepEqual(at.scratch.write(filled(length, 2), offset), {
    ok: false,
    why: 'full',
    chunk: 0,
  })
  assert.equal(at.why(0, C), 'lost')
  assert.ok(ones(at.read(C, 5 * C)), 'not begun')
  at.file.room = Number.POSITIVE_INFINITY
  at.scratch.write(filled(C, 1), 0)
  // The first part and one whole chunk arrive.
  at.file.room = 2 * C
  assert.equal(at.scratch.write(filled(length, 2), offset).ok, false)
  assert.ok(at.read(C / 2, C / 2 + C).every((b) => b === 2))
  for (const chunk of [2, 3]) assert.equal(at.why(chunk * C, C), 'lost')
  assert.ok(ones(at.read(4 * C, 2 * C)), 'not begun')
})

test('a chunk that cannot be patched stays what it is, and so does what lies behind it', () => {
  const at = open()
  at.scratch.write(filled(4 * C, 1), 0)
  at.file.room = 0
  at.scratch.write(filled(C, 2), 0)
  at.file.room = Number.POSITIVE_INFINITY
  assert.deepEqual(at.scratch.write(filled(2 * C, 2), C / 2), {
    ok: false,
    why: 'lost',
    chunk: 0,
  })
  assert.equal(at.why(0, C), 'lost')
  assert.ok(at.read(C, 3 * C).every((b) => b === 1))
  at.file.bytes[C] = (at.file.bytes[C] ?? 0) ^ 1
  const write = at.scratch.write(filled(2 * C, 2), C + C / 2)
  assert.deepEqual(write, { ok: false, why: 'tampered', chunk: 1 })
  assert.equal(at.why(C, C), 'tampered')
  assert.ok(at.read(2 * C, 2 * C).every((b) => b === 1))
})

test('a thread without nonces writes nothing more, and nothing under a nonce again', () => {
  const at = open(SIZE, 3)
  assert.deepEqual(at.scratch.write(filled(2 * C, 1), 0), { ok: true })
  assert.deepEqual(at.scratch.write(filled(2 * C, 2), 0), { ok: false, why: 'exhausted', chunk: 0 })
  assert.equal(at.why(0, C), 'lost')
  assert.deepEqual(at.scratch.write(filled(C, 2), 0), { ok: false, why: 'exhausted', chunk: 0 })
  assert.deepEqual(at.store(2).write(filled(C, 5), 0), { ok: true })
  assert.ok(at.read(0, C).every((b) => b === 5))
})

test('a discard longer than the locks, and one that begins and ends inside chunks', () => {
  const size = (2 * LOCK_WORDS + 5) * C
  const at = open(size)
  const [from, to] = [C + 100, size - 50]
  at.scratch.write(filled(2 * C, 1), 0)
  at.scratch.write(filled(C, 2), size - C)
  assert.deepEqual(at.scratch.discard(from, to - from), { ok: true })
  assert.ok(at.read(0, from).every((b) => b === 1))
  assert.ok(at.read(from, C - 100).every((b) => b === 0))
  assert.ok(at.read(to, 50).every((b) => b === 2))
  assert.equal(
    at.file.punched.reduce((sum, [, length]) => sum + length, 0),
    size - 3 * C,
  )
  assert.deepEqual(at.scratch.discard(10, 20), { ok: true })
  assert.deepEqual([...at.read(8, 24)], [1, 1, ...new Array(20).fill(0), 1, 1])
})

test('ranges outside the scratch and sizes that are none are refused', () => {
  const { scratch } = open()
  for (const [offset, length] of [
    [SIZE, 1],
    [-1, 1],
    [0, SIZE + 1],
    [Number.NaN, 1],
  ] as const) {
    assert.throws(() => scratch.write(filled(length, 1), offset), RangeError)
    assert.throws(() => scratch.discard(offset, length), RangeError)
  }
  for (const size of [0, 1, C + 1, -C, 2 ** 39, Number.NaN]) {
    assert.throws(() => scratchChunks(size), RangeError)
  }
})
