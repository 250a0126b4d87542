import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { cgroupDirectories, cgroupProcesses, removeCgroup } from './index.ts'

const v1 = mkdtempSync(join(tmpdir(), 'enclave-cc-cgroup-'))
const v2 = mkdtempSync(join(tmpdir(), 'enclave-cc-cgroup-'))
after(() => {
  for (const folder of [v1, v2]) rmSync(folder, { recursive: true })
})

test('finds a cgroup in every hierarchy of v1, and in the one of v2', () => {
  for (const name of ['memory', 'pids']) mkdirSync(join(v1, name, 'pod'), { recursive: true })
  mkdirSync(join(v1, 'cpu'))
  assert.deepEqual(cgroupDirectories('/pod', v1).sort(), [
    join(v1, 'memory/pod'),
    join(v1, 'pids/pod'),
  ])
  writeFileSync(join(v2, 'cgroup.controllers'), '')
  mkdirSync(join(v2, 'pod'))
  assert.deepEqual(cgroupDirectories('/pod', v2), [join(v2, 'pod')])
  assert.throws(() => cgroupDirectories('/../x', v2), RangeError)
})

test('lists processes once, and not those of another pid namespace', () => {
  writeFileSync(join(v1, 'memory/pod/cgroup.procs'), '12\n0\n34\n')
  writeFileSync(join(v1, 'pids/pod/cgroup.procs'), '12\n')
  assert.deepEqual(cgroupProcesses('/pod', v1), [12, 34])
})

test('removes what is empty and says whether something is left', () => {
  assert.equal(removeCgroup('/pod', v1), false)
  for (const name of ['memory', 'pids']) rmSync(join(v1, name, 'pod/cgroup.procs'))
  assert.equal(removeCgroup('/pod', v1), true)
  assert.equal(existsSync(join(v1, 'memory/pod')), false)
})
