import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { type ContainerRecord, MAX_COMMAND, parseRecord, recordBytes } from './record.ts'

const RECORD: ContainerRecord = {
  id: 'ab'.repeat(32),
  name: 'db',
  image: 'r/acme/db:1',
  digest: `sha256:${'00'.repeat(32)}`,
  command: '\u0000'.repeat(MAX_COMMAND),
  state: 'exited',
  exitCode: 3,
  code: 'ROOTFS_TAMPERED',
  message: 'm',
  createdAt: '2026-01-01T00:00:00Z',
  startedAt: '2026-01-01T00:00:01Z',
  finishedAt: '2026-01-01T00:00:02Z',
  platform: 'simulated',
  bundle: '/b',
  mrEnclave: '11'.repeat(32),
  decisionIds: Array.from({ length: 64 }, () => 'd'.repeat(128)),
  layers: Array.from({ length: 127 }, () => ({ digest: 'x'.repeat(256), cached: true })),
  mounts: Array.from({ length: 65 }, () => ({
    destination: `/${'\uffff'.repeat(511)}`,
    kind: 'disk',
    size: 2 ** 38,
  })),
  pid: 1,
  agentPid: 2,
  initPid: 3,
  supervisorPid: 4,
  supervisorStart: '5',
  stopTimeout: 10,
}

test('a record reads back as it was written, the longest that enclaves can cause too', () => {
  assert.deepEqual(parseRecord(recordBytes(RECORD)), RECORD)
})

test('recordBytes() refuses what could not be read again', () => {
  assert.throws(() => recordBytes({ ...RECORD, image: 'x'.repeat(300_000) }), RangeError)
})

test('parseRecord() refuses what is no record', () => {
  for (const change of [
    { id: '../../etc' },
    { state: 'paused' },
    { exitCode: -1 },
    { supervisorPid: '4' },
    { name: undefined },
  ]) {
    assert.throws(() => parseRecord(utf8(JSON.stringify({ ...RECORD, ...change }))))
  }
})
