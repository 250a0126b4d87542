import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

test('abortFuse() lets a killed process go that waits for a mount which it serves itself', () => {
  const entry = join(import.meta.dirname, '../support/fuse-waiter-entry.ts')
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', entry]
  const ran = spawnSync('unshare', ['--mount', '--propagation', 'private', ...node], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  assert.equal(ran.stdout, 'killed, and waits for itself\ngone\n', ran.stderr)
})
