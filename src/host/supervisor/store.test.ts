import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { processStart } from './process-start.ts'
import type { ContainerRecord } from './record.ts'
import { ContainerStore } from './store.ts'

let folder: string
let store: ContainerStore
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'enclave-cc-store-'))
  store = new ContainerStore({ root: join(folder, 'root'), state: join(folder, 'state') })
})
afterEach(() => rmSync(folder, { recursive: true }))

function record(id: string, change: Partial<ContainerRecord> = {}): ContainerRecord {
  return {
    id: id.padEnd(64, '0'),
    name: `n-${id}`,
    image: 'i',
    digest: '',
    command: '',
    state: 'running',
    createdAt: `2026-01-01T00:00:${id.slice(0, 2)}Z`,
    platform: 'simulated',
    bundle: '/b',
    mrEnclave: '00',
    decisionIds: [],
    layers: [],
    mounts: [],
    pid: 5,
    agentPid: 6,
    initPid: 7,
    supervisorPid: process.pid,
    supervisorStart: processStart(process.pid) ?? '',
    stopTimeout: 10,
    ...change,
  }
}

test('a container is found by name, id and unique prefix, and by nothing else', () => {
  const [a, b] = [record('01aa'), record('01ab', { name: '01ab0' })]
  store.create(b)
  store.create(a)
  assert.deepEqual(store.list(), [a, b], 'oldest first')
  for (const word of [a.id, a.name, '01aa']) assert.deepEqual(store.find(word), a, word)
  assert.throws(() => store.find('01a'), { code: 'CONTAINER_AMBIGUOUS' })
  for (const word of ['02', '', '.lock', '../containers', `${a.id}0`, 'n-']) {
    assert.throws(() => store.find(word), { code: 'CONTAINER_NOT_FOUND' }, word)
  }
  store.remove(a.id)
  assert.throws(() => store.find(a.id), { code: 'CONTAINER_NOT_FOUND' })
})

test('a name is taken until its container is removed', () => {
  store.create(record('01', { name: 'db' }))
  assert.throws(() => store.create(record('02', { name: 'db' })), { code: 'CONTAINER_NAME_TAKEN' })
  assert.equal(existsSync(store.folder(record('02').id)), false)
  store.remove(record('01').id)
  store.create(record('02', { name: 'db' }))
})

test('a container whose supervisor is gone has exited; a process of the same number is not it', async () => {
  const child = spawn('true')
  const start = processStart(child.pid ?? 0) ?? ''
  await once(child, 'exit')
  for (const [id, change] of [
    ['01', { supervisorPid: child.pid ?? 0, supervisorStart: start }],
    ['02', { supervisorStart: '1' }],
    ['03', { supervisorPid: 0, supervisorStart: '', state: 'created' }],
  ] as const) {
    store.create(record(id, change))
    const found = store.find(record(id).name)
    assert.equal(found.state, 'exited', id)
    assert.equal(found.code, 'SUPERVISOR_LOST')
    assert.equal(found.exitCode, 137)
    assert.equal(found.pid, 0)
  }
  const ended = record('04', { state: 'exited', exitCode: 3, supervisorStart: '1' })
  store.create(ended)
  assert.deepEqual(store.find('04'), ended)
})

test('a damaged record does not hide its container: it can be named by id', () => {
  const { id } = record('01')
  store.create(record('01'))
  writeFileSync(join(store.folder(id), 'state.json'), '{')
  assert.deepEqual(store.list(), [])
  assert.equal(store.resolve('01'), id)
  assert.throws(() => store.find('01'), { code: 'CONTAINER_RECORD_DAMAGED' })
  rmSync(join(store.folder(id), 'state.json'))
  assert.throws(() => store.find('01'), { code: 'CONTAINER_RECORD_DAMAGED' })
})

test('saving the record of a container that was removed says so, and does not bring it back', () => {
  store.create(record('01'))
  store.remove(record('01').id)
  assert.throws(() => store.save(record('01')), { code: 'CONTAINER_NOT_FOUND' })
  assert.equal(existsSync(store.folder(record('01').id)), false)
})

test('a folder of a job goes with it, and with the next command if its process died', () => {
  const root = join(folder, 'root/containers')
  {
    using work = store.work('aa')
    writeFileSync(join(work.path, 'file'), '')
    store.sweep()
    assert.equal(existsSync(join(work.path, 'file')), true, 'its holder lives')
  }
  assert.deepEqual(readdirSync(root), [])
  mkdirSync(join(root, '.work-bb'))
  writeFileSync(join(root, '.work-bb/holder'), '')
  mkdirSync(join(root, `.new-${'c'.repeat(64)}`))
  store.create(record('01'))
  assert.deepEqual(readdirSync(root), [record('01').id])
})
