import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isCoded } from '#lib/errors'
import { checkState } from './state-directory.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-state-'))
after(() => rmSync(folder, { recursive: true }))

const state = join(folder, 'state')
mkdirSync(state)

function refusedFor(path: string, found: RegExp): void {
  assert.throws(
    () => checkState(path),
    (error) => isCoded(error) && error.code === 'STATE_UNSAFE' && found.test(error.message),
  )
}

test('a state directory of this user, in which nobody else can write, is good, also behind a link', () => {
  for (const mode of [0o700, 0o750, 0o755]) {
    chmodSync(state, mode)
    checkState(state)
  }
  symlinkSync(state, join(folder, 'link'))
  checkState(join(folder, 'link'))
  checkState(join(folder, 'absent'))
})

test('a state directory that others may write to is refused', () => {
  for (const mode of [0o770, 0o702, 0o777, 0o1777]) {
    chmodSync(state, mode)
    refusedFor(state, new RegExp(`others may write to it \\(mode ${mode.toString(8)}\\)`))
    refusedFor(join(folder, 'link'), /others may write/)
  }
  chmodSync(state, 0o700)
})

test('a state directory of another user is refused', { skip: process.geteuid?.() !== 0 }, () => {
  chownSync(state, 65_534, 65_534)
  refusedFor(state, /it belongs to user 65534/)
  chownSync(state, 0, 0)
})

test('a folder in it that others may write to, or that is a link, is refused', () => {
  for (const name of ['containers', 'bundles']) {
    const inner = join(state, name)
    mkdirSync(inner, { mode: 0o755 })
    checkState(state)
    chmodSync(inner, 0o777)
    refusedFor(state, new RegExp(`state/${name}: others may write to it \\(mode 777\\)`))
    if (process.geteuid?.() === 0) {
      chmodSync(inner, 0o700)
      chownSync(inner, 65_534, 65_534)
      refusedFor(state, new RegExp(`state/${name}: it belongs to user 65534`))
    }
    rmSync(inner, { recursive: true })
    symlinkSync(folder, inner)
    refusedFor(state, new RegExp(`state/${name}: it is not a directory`))
    rmSync(inner)
  }
  checkState(state)
})

test('a file is no state directory', () => {
  writeFileSync(join(folder, 'file'), '')
  refusedFor(join(folder, 'file'), /not a directory/)
})
