import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { utf8 } from '#lib/bytes'
import type { CommandContext, CommandInput } from '#lib/command'
import { digestOf } from '#lib/oci'
import { MemoryImage } from '../../../test/support/memory-image.ts'
import { copyImage } from './copy.ts'
import { decryptCommand } from './decrypt-command.ts'
import { encryptCommand } from './encrypt-command.ts'
import { keygenEncryption } from './keygen.ts'
import { openDestination } from './open.ts'

const quiet = { update: () => {}, done: () => {}, fail: () => {} }
const REASON = new Error('interrupted')
let dir = ''
const at = (name: string): string => join(dir, name)

type Flags = Readonly<Record<string, string | readonly string[]>>

/** Runs a command that is interrupted as soon as a step whose label `at` matches makes progress. */
async function interrupted(
  run: (context: CommandContext, input: CommandInput) => Promise<unknown>,
  operands: readonly string[],
  flags: Flags,
  when?: RegExp,
): Promise<unknown> {
  const controller = new AbortController()
  const context: CommandContext = {
    places: {
      ...{ root: '', state: '', kbsData: '', kbsUrl: undefined, kbsCa: undefined, initData: '' },
      adminTokenFile: undefined,
    },
    pool: { size: 0, linger: 0 },
    cache: { maxSize: 0 },
    env: { HOME: dir },
    signal: controller.signal,
    json: false,
    quiet: true,
    verbose: false,
    program: { dist: '', node: '', version: 'test' },
    stdout: () => {},
    note: () => {},
    warn: () => {},
    log: () => {},
    progress: (label) => {
      const hit = when?.test(label) === true
      if (hit && label.startsWith('reading back')) controller.abort(REASON)
      return { ...quiet, update: () => void (hit && controller.abort(REASON)) }
    },
    stdin: async () => new Uint8Array(0),
  }
  const text = (flag: string) => (typeof flags[flag] === 'string' ? String(flags[flag]) : undefined)
  return run(context, {
    operands,
    text,
    flag: () => false,
    list: (flag) => (Array.isArray(flags[flag]) ? flags[flag] : []) as readonly string[],
  })
}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'enclave-cc-interrupt-'))
  const layers = ['one', 'two'].map((text) => utf8(text.repeat(100_000)))
  const config = {
    os: 'linux',
    architecture: 'amd64',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map((bytes) => digestOf(bytes)) },
  }
  const image = new MemoryImage('registry.example/app:1')
  await image.put(
    layers.map((bytes) => gzipSync(bytes)),
    utf8(JSON.stringify(config)),
  )
  const access = {
    ...{ tlsVerify: undefined, certDir: undefined, credentials: undefined, authFile: undefined },
    ...{ env: {}, signal: new AbortController().signal, note: () => {} },
  }
  await using into = await openDestination(`oci:${at('plain')}:v1`, access)
  const platform = { os: 'linux', architecture: 'amd64' }
  await copyImage(image, into, { platform, progress: () => quiet })
  await interrupted(keygenEncryption, [], { out: at('key') })
})

after(() => rm(dir, { recursive: true, force: true }))

test('image encrypt and decrypt stop when they are interrupted, and leave nothing', async () => {
  const plain = `oci:${at('plain')}:v1`
  const sealed = `oci:${at('sealed')}:v1`
  const platform = { platform: 'linux/amd64' }
  const encrypting = { 'encryption-key': [`jwe:${at('key.pub.pem')}`], ...platform }
  const cut = interrupted(encryptCommand, [plain, sealed], encrypting, /layer/)
  await assert.rejects(cut, REASON)
  assert.deepEqual((await readdir(dir)).sort(), ['key.pem', 'key.pub.pem', 'plain'])
  const late = interrupted(encryptCommand, [plain, sealed], encrypting, /reading back/)
  await assert.rejects(late, REASON)
  await rm(at('sealed'), { recursive: true })
  await interrupted(encryptCommand, [plain, sealed], encrypting)

  const decrypting = { 'decryption-key': [at('key.pem')], ...platform }
  const back = [sealed, `oci:${at('back')}:v1`]
  await assert.rejects(interrupted(decryptCommand, back, decrypting, /layer/), REASON)
  assert.equal((await readdir(dir)).includes('back'), false)
  await interrupted(decryptCommand, back, decrypting)
  assert.equal((await readdir(dir)).includes('back'), true)
})
