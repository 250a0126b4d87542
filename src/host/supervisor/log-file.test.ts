import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { type LogEntry, LogReader, LogWriter } from './log-file.ts'
import { lastLines } from './log-tail.ts'

const TIME = '2026-01-01T00:00:00.000Z'
let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'enclave-cc-log-'))
  file = join(folder, 'log.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true }))

const texts = (entries: Iterable<LogEntry>): string[] =>
  [...entries].map((entry) => Buffer.from(entry.data).toString('latin1'))

test('output comes back byte for byte, an entry at most a line or 64 KiB', () => {
  const data = Buffer.concat([utf8('a\nbc\n'), Buffer.from([0xff, 0]), Buffer.alloc(100_000, 'x')])
  {
    using writer = new LogWriter(file)
    writer.write('stdout', data, TIME)
    writer.write('stderr', utf8('e\n'), TIME)
  }
  using reader = new LogReader(file)
  const entries = [...reader.entries()]
  assert.deepEqual(
    entries.map(({ stream, data: { length } }) => [stream, length]),
    [
      ['stdout', 2],
      ['stdout', 3],
      ['stdout', 65_536],
      ['stdout', 100_002 - 65_536],
      ['stderr', 2],
    ],
  )
  assert.deepEqual(Buffer.concat(entries.slice(0, 4).map((entry) => entry.data)), data)
})

test('a reader that asks again gets what came since, each entry once, also of a deleted log', () => {
  using writer = new LogWriter(file)
  using reader = new LogReader(file)
  assert.deepEqual(texts(reader.entries()), [])
  writer.write('stdout', utf8('one\n'), TIME)
  assert.deepEqual(texts(reader.entries()), ['one\n'])
  unlinkSync(file)
  writer.write('stdout', utf8('two\nthree\n'), TIME)
  assert.deepEqual(texts(reader.entries()), ['two\n', 'three\n'])
  assert.deepEqual(texts(reader.entries()), [])
})

test('a log that is full begins anew: the last two files are kept, and a reader misses nothing', () => {
  const limit = 1000
  using writer = new LogWriter(file, limit)
  const line = (i: number): string => `line ${String(i).padStart(3, '0')}\n`
  const from = (start: number, end: number): string[] =>
    Array.from({ length: end - start }, (_, i) => line(start + i))
  const write = (start: number, end: number): void => {
    for (const text of from(start, end)) writer.write('stdout', utf8(text), TIME)
  }
  write(0, 5)
  using early = new LogReader(file)
  assert.deepEqual(texts(early.entries()), from(0, 5))
  write(5, 15)
  assert.deepEqual(texts(early.entries()), from(5, 15))
  write(15, 100)
  assert.deepEqual(readdirSync(folder).sort(), ['log.jsonl', 'log.jsonl.1'])
  for (const name of readdirSync(folder)) assert.ok(statSync(join(folder, name)).size <= limit)
  using late = new LogReader(file)
  const kept = texts(late.entries())
  assert.ok(kept.length > 10 && kept.length < 30, String(kept.length))
  assert.deepEqual(kept, from(100 - kept.length, 100))
  write(100, 105)
  assert.deepEqual(texts(late.entries()), from(100, 105))
})

test('an unfinished entry waits, a torn one is skipped', () => {
  const line = `{"stream":"stdout","time":"${TIME}","data":"YQ=="}\n`
  appendFileSync(file, line + line.slice(0, 20))
  using reader = new LogReader(file)
  assert.deepEqual(texts(reader.entries()), ['a'])
  appendFileSync(file, line.slice(20))
  assert.deepEqual(texts(reader.entries()), ['a'])
  appendFileSync(file, `${line.slice(0, 20)}\n{}\n[1\n${line}`)
  assert.deepEqual(texts(reader.entries()), ['a'])
})

test('a full disk costs output, not the container', () => {
  using writer = new LogWriter('/dev/full')
  writer.write('stdout', utf8('lost\n'), TIME)
})

test('lastLines() counts lines, not entries, and keeps the parts of one together', () => {
  const entry = (stream: 'stdout' | 'stderr', text: string): LogEntry => ({
    stream,
    time: TIME,
    data: utf8(text),
  })
  const entries = [
    entry('stdout', 'a\n'),
    entry('stdout', 'b1'),
    entry('stderr', 'e\n'),
    entry('stdout', 'b2\n'),
    entry('stdout', 'c'),
  ]
  assert.deepEqual(texts(lastLines(entries, 0)), [])
  assert.deepEqual(texts(lastLines(entries, 1)), ['c'])
  assert.deepEqual(texts(lastLines(entries, 2)), ['e\n', 'c'])
  assert.deepEqual(texts(lastLines(entries, 3)), ['b1', 'b2\n', 'e\n', 'c'])
  assert.deepEqual(texts(lastLines(entries, 99)).length, 5)
})
