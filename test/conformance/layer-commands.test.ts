import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  createWriteStream,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isCoded } from '#lib/errors'
import { CHUNK_SIZE, HEADER_BLOCK } from '#lib/sealed'
import { readInRoot } from '#platform/in-root'
import { catCommand } from '../../src/owner/layer/cat-command.ts'
import { makeRoot, unpackPackages } from '../support/debian.ts'
import { refused } from '../support/refused.ts'
import { World } from '../support/world.ts'

/** Files of every size, hard links, symlinks in each direction: what a base image is made of. */
const PACKAGES = [
  'base-files',
  'libc6',
  'libc-bin',
  'coreutils',
  'perl-base',
  'tzdata',
  'redis-tools',
]
const LARGE = 300 * 2 ** 20
const MIB = 2 ** 20

let world: World
const at = (name: string): string => world.path(name)

before(async () => {
  world = new World('layer')
  const tree = at('tree')
  mkdirSync(tree)
  makeRoot(tree)
  unpackPackages(PACKAGES, tree)
  execFileSync('tar', ['-C', tree, '-czf', at('debian.tar.gz'), '.'])
  await world.ok([
    'layer',
    'seal',
    at('debian.tar.gz'),
    at('debian'),
    '--key-out',
    at('debian.key'),
  ])
})
after(() => world[Symbol.asyncDispose]())

test('layer cat gives the bytes of every file of a real package set, through every symlink', async () => {
  const truth = at('truth')
  mkdirSync(truth)
  execFileSync('tar', ['-C', truth, '-xpzf', at('debian.tar.gz')])
  const found = { files: 0, links: 0, refused: 0 }
  for (const name of readdirSync(truth, { recursive: true, encoding: 'utf8' })) {
    const kind = lstatSync(join(truth, name))
    if (kind.isDirectory()) continue
    const expected = readAsKernel(truth, name)
    const actual = await cat(name)
    assert.deepEqual(typeof actual, typeof expected, name)
    if (typeof expected === 'string') {
      assert.equal(actual, expected, name)
      found.refused++
    } else {
      assert.ok(expected.equals(actual as Buffer), name)
      found[kind.isSymbolicLink() ? 'links' : 'files']++
    }
  }
  assert.ok(found.files > 1000 && found.links > 100 && found.refused > 0, JSON.stringify(found))
})

test('layer verify says yes and no on stdout, and with its exit code', async () => {
  const verify = (file: string) => ['layer', 'verify', file, '--key', at('debian.key'), '--json']
  const good = await world.cli(verify(at('debian')))
  assert.equal(good.code, 0)
  assert.deepEqual(good.json<{ ok: boolean; badChunks: number[] }>().badChunks, [])
  copyFileSync(at('debian'), at('damaged'))
  const bytes = readFileSync(at('damaged'))
  const middle = bytes.length >> 1
  bytes[middle] = (bytes[middle] ?? 0) ^ 1
  writeFileSync(at('damaged'), bytes)
  const bad = await world.cli(verify(at('damaged')))
  assert.equal(bad.code, 1)
  const verdict = bad.json<{ ok: boolean; code: string; badChunks: number[] }>()
  const chunk = Math.floor((middle - HEADER_BLOCK) / CHUNK_SIZE)
  assert.deepEqual([verdict.ok, verdict.code, verdict.badChunks], [false, 'SEALED_CHUNK', [chunk]])
  assert.doesNotMatch(bad.stderr, /error/)
  const text = await world.cli(['layer', 'verify', at('damaged'), '--key', at('debian.key')])
  assert.equal(text.code, 1)
  assert.match(
    text.stdout,
    new RegExp(`^not authentic: .* \\[SEALED_CHUNK\\]\nbad chunks: ${chunk}\nnext: `),
  )
})

test('the key of a layer may lie in the broker', async () => {
  await world.startBroker()
  const uri = 'kbs:///acme/layer-key/debian'
  await world.ok(['kbs', 'resource', 'set', uri, at('debian.key')])
  await world.ok(['layer', 'verify', at('debian'), '--key', uri])
  const { stdout } = await world.ok([
    'layer',
    'cat',
    at('debian'),
    'etc/debian_version',
    '--key',
    uri,
  ])
  assert.equal(stdout, readFileSync(join(at('tree'), 'etc/debian_version'), 'utf8'))
  const missing = ['layer', 'verify', at('debian'), '--key', 'kbs:///acme/layer-key/nothing']
  refused(await world.cli(missing), 'INPUT_UNREADABLE', 2)
})

test('the key of a layer may come through standard input, up to what a key can have', async () => {
  const file = readFileSync(at('debian.key'))
  const verified = ['layer', 'verify', at('debian'), '--key', '-']
  await world.ok(verified, { input: file })
  const { stdout } = await world.ok(
    ['layer', 'cat', at('debian'), 'etc/debian_version', '--key', '-'],
    { input: file },
  )
  assert.equal(stdout, readFileSync(join(at('tree'), 'etc/debian_version'), 'utf8'))
  refused(await world.cli(verified), 'LAYER_KEY_INVALID', 2)
  refused(await world.cli(verified, { input: Buffer.alloc(4097, ' ') }), 'INPUT_UNREADABLE', 2)
  // without its end it would be waited for in vain
  const child = world.start(verified, { input: '' })
  const endless = (error?: Error | null): void => {
    if (!error) child.stdin?.write(Buffer.alloc(65_536, ' '), endless)
  }
  child.stdin?.on('error', () => {})
  endless()
  const [code] = (await once(child, 'close')) as [number]
  assert.equal(code, 2)
})

test('what layer commands refuse, they refuse with a code and an empty stdout', async () => {
  const key = ['--key', at('debian.key')]
  for (const [args, code, exit] of [
    [['layer', 'verify', at('debian')], 'USAGE', 2],
    [['layer', 'verify', at('none'), ...key], 'INPUT_UNREADABLE', 2],
    [['layer', 'verify', at('debian'), '--key', at('debian.tar.gz')], 'INPUT_UNREADABLE', 2],
    [['layer', 'inspect', at('debian.tar.gz')], 'SEALED_FORMAT', 1],
    [['layer', 'cat', at('debian'), '/usr', ...key], 'LAYER_NOT_FILE', 1],
    [['layer', 'cat', at('debian'), '/none', ...key], 'EROFS_NOT_FOUND', 1],
    [
      ['layer', 'cat', at('debian'), '/etc/issue', '--key', at('tree/etc/issue')],
      'LAYER_KEY_INVALID',
      2,
    ],
    [['layer', 'seal', at('debian'), at('x'), '--key-out', at('k')], 'TAR_CHECKSUM', 1],
    [['layer', 'seal', at('none'), at('x'), '--key-out', at('k')], 'INPUT_UNREADABLE', 2],
    [
      ['layer', 'seal', at('debian.tar.gz'), at('debian'), '--key-out', at('k')],
      'OUTPUT_EXISTS',
      1,
    ],
    [
      ['layer', 'seal', at('debian.tar.gz'), at('x'), '--key-out', at('no/k')],
      'INPUT_UNREADABLE',
      2,
    ],
  ] as const) {
    refused(await world.cli(args), code, exit)
  }
  const left = readdirSync(world.dir).filter((name) => ['x', 'k'].includes(name))
  assert.deepEqual(left, [])
})

test('layer cat streams: a file of 300 MiB needs no memory of its size, and stops with its reader', async () => {
  const tree = at('large')
  mkdirSync(tree)
  const random = Buffer.from(Array.from({ length: MIB }, (_, i) => (i * 2_654_435_761) >>> 24))
  const out = createWriteStream(join(tree, 'file'))
  for (let done = 0; done < LARGE - 5; done += MIB) {
    if (!out.write(random)) await once(out, 'drain')
  }
  out.end()
  await once(out, 'close')
  truncateSync(join(tree, 'file'), LARGE - 5)
  execFileSync('tar', ['-C', tree, '-cf', at('large.tar'), 'file'])
  await world.ok([
    'layer',
    'seal',
    at('large.tar'),
    at('large.sealed'),
    '--key-out',
    at('large.key'),
  ])
  const args = ['layer', 'cat', at('large.sealed'), 'file', '--key', at('large.key')]
  const child = world.start(args)
  let got = 0
  let peak = 0
  for await (const piece of child.stdout as AsyncIterable<Buffer>) {
    const wanted = random.subarray(got % MIB, (got % MIB) + piece.length)
    const start = piece.subarray(0, wanted.length)
    if (!start.equals(wanted)) assert.fail(`other bytes at ${got}`)
    got += piece.length
    // It waits for us, with more to say than the pipe holds.
    if (peak === 0 && got > LARGE - 2 * MIB) peak = peakOf(child.pid as number)
  }
  assert.equal(got, statSync(join(tree, 'file')).size)
  assert.ok(peak > 20 * MIB && peak < 200 * MIB, `${peak / MIB} MiB`)
  const early = world.start(args)
  const gone = once(early, 'exit')
  await once(early.stdout as NonNullable<typeof early.stdout>, 'readable')
  early.stdout?.destroy()
  assert.deepEqual(await gone, [141, null])
})

/** The file's bytes, or the reason that there are none. */
async function cat(path: string): Promise<Buffer | string> {
  const flags: Readonly<Record<string, string>> = { key: at('debian.key') }
  const context = { json: false, signal: new AbortController().signal }
  const input = {
    operands: [at('debian'), path],
    text: (flag: string) => flags[flag],
    flag: () => false,
    list: () => [],
  }
  try {
    const { stream } = await catCommand(context as Parameters<typeof catCommand>[0], input)
    const parts: Uint8Array[] = []
    for await (const part of stream as AsyncIterable<Uint8Array>) parts.push(part)
    return Buffer.concat(parts)
  } catch (error) {
    if (isCoded(error)) return error.code
    throw error
  }
}

function readAsKernel(root: string, path: string): Buffer | string {
  try {
    const bytes = readInRoot(root, path, 2 ** 30)
    return bytes === undefined ? 'EROFS_NOT_FOUND' : Buffer.from(bytes)
  } catch (error) {
    if (/not a file/.test((error as Error).message)) return 'LAYER_NOT_FILE'
    throw error
  }
}

function peakOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}
