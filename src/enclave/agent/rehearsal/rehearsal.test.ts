import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearseHandover } from '../../handover/rehearsal.ts'
import { rehearseConnection } from './connection.ts'
import { rehearse } from './rehearsal.ts'

const PLATFORM = { os: 'linux', architecture: 'amd64' } as const

test('a rehearsal gets to its end, and again', async () => {
  await rehearse(PLATFORM)
  await rehearse({ ...PLATFORM, architecture: 'arm64' })
})

test('its parts notice what fails: a payload that cannot be handed over is refused', async () => {
  const config = new Uint8Array(3 * 1024 * 1024)
  const payload = { layers: [], config, scratch: new Uint8Array(2) }
  await assert.rejects(rehearseHandover(payload), RangeError)
  await rehearseHandover({ ...payload, config: new Uint8Array(2) })
})

test('it opens nothing that stays: no server, socket or timer', async () => {
  const before = process.getActiveResourcesInfo()
  await rehearse(PLATFORM)
  await rehearseConnection()
  await new Promise(setImmediate)
  const rest = (names: readonly string[]) =>
    names.filter((name) => !['TTYWrap', 'PipeWrap', 'Immediate'].includes(name)).sort()
  assert.deepEqual(rest(process.getActiveResourcesInfo()), rest(before))
})
