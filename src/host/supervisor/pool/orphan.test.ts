import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { processStart } from '../process-start.ts'
import type { ContainerRecord } from '../record.ts'
import { ContainerStore } from '../store.ts'
import { removeOrphan } from './orphan.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-orphan-'))
after(() => rmSync(folder, { recursive: true }))
const places = { root: join(folder, 'root'), state: join(folder, 'state') }
const store = new ContainerStore(places)

function recorded(id: string, pid: number): ContainerRecord {
  const record: ContainerRecord = {
    id: id.repeat(64),
    name: id,
    image: 'registry.example/acme/app:1',
    digest: '',
    command: '',
    state: 'created',
    createdAt: '2026-01-01T00:00:00Z',
    platform: 'simulated',
    bundle: '/bundle',
    mrEnclave: '',
    decisionIds: [],
    layers: [],
    mounts: [],
    pid: 0,
    agentPid: 0,
    initPid: 0,
    supervisorPid: pid,
    supervisorStart: processStart(pid) ?? '',
    stopTimeout: 10,
  }
  store.create(record)
  return record
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

test('the record of a command that is killed is removed as soon as it has gone', async () => {
  const command = spawn('sleep', ['60'])
  const record = recorded('a', command.pid ?? 0)
  const removal = removeOrphan({ ...places, record })
  assert.ok(existsSync(store.folder(record.id)))
  await killed(command)
  await removal
  assert.ok(!existsSync(store.folder(record.id)))
})

test('a record that another supervisor has taken over stays, and one that is gone is no error', async () => {
  const command = spawn('sleep', ['60'])
  const record = recorded('b', command.pid ?? 0)
  const start = processStart(process.pid) ?? ''
  const removal = removeOrphan({ ...places, record })
  store.save({ ...record, supervisorPid: process.pid, supervisorStart: start })
  await removal
  await killed(command)
  await removeOrphan({ ...places, record })
  assert.ok(existsSync(store.folder(record.id)))
  store.remove(record.id)
  await removeOrphan({ ...places, record })
})
