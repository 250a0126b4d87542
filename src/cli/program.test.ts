import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GROUPS } from './groups.ts'
import { nearest } from './nearest.ts'
import { type Input, parseLine } from './program.ts'

async function input(...argv: readonly string[]): Promise<Input> {
  const parsed = await parseLine(argv, {})
  assert.equal(parsed.kind, 'command', JSON.stringify(parsed))
  return (parsed as Extract<typeof parsed, { kind: 'command' }>).input
}

async function complaint(...argv: readonly string[]): Promise<string> {
  const parsed = await parseLine(argv, {})
  assert.equal(parsed.kind, 'usage', JSON.stringify(parsed))
  return (parsed as Extract<typeof parsed, { kind: 'usage' }>).message
}

test('global flags stand before or after the command and its operands, with = or a space', async () => {
  for (const argv of [
    ['--json', '--root', '/r', 'inspect', 'a'],
    ['--root=/r', 'inspect', '--json', 'a'],
    ['inspect', 'a', '--json', '--root=/r'],
  ]) {
    const found = await input(...argv)
    assert.equal(found.globalFlag('json'), true, argv.join(' '))
    assert.equal(found.global('root'), '/r', argv.join(' '))
    assert.deepEqual(found.operands, ['a'])
  }
})

test('flags of `run` end at the image: what follows is the container’s, flags of ours too', async () => {
  const words = ['--version', '--json', '-d', '--', '-q']
  const found = await input('run', '-e', 'A=1', '-e=B', '--rm', 'img', ...words)
  assert.deepEqual(found.operands, ['img', ...words])
  assert.equal(found.flag('detach'), false)
  assert.equal(found.flag('rm'), true)
  assert.equal(found.globalFlag('json'), false)
  assert.deepEqual(found.list('env')[0], 'A=1')
})

test('-- ends flags', async () => {
  assert.deepEqual((await input('rm', '-f', '--', '-f')).operands, ['-f'])
})

test('a flag that begins with no- is given or not, like any other', async () => {
  assert.equal((await input('ps')).flag('no-trunc'), false)
  assert.equal((await input('ps', '--no-trunc')).flag('no-trunc'), true)
})

test('a flag or command that is not known is refused with the nearest name', async () => {
  assert.match(await complaint('run', '--nam', 'x', 'img'), /Did you mean --name\?/)
  assert.match(await complaint('ps', '--jso'), /Did you mean --json\?/)
  assert.match(await complaint('ps', '--rot=x'), /Did you mean --root\?/)
  assert.match(await complaint('sp'), /Did you mean ps\?/)
  assert.match(await complaint('kbs', 'resorce'), /Did you mean resource\?/)
  assert.doesNotMatch(await complaint('ps', '--entirely-else'), /mean/)
  for (const argv of [['rm'], ['logs', 'a', 'b'], ['run', '--name'], ['toString'], ['__proto__']]) {
    await complaint(...argv)
  }
})

test('--version is answered anywhere before the words of a container, operands or not', async () => {
  for (const argv of [['--version'], ['rm', '--version'], ['run', '--rm', '--version', 'img']]) {
    assert.equal((await parseLine(argv, {})).kind, 'version', argv.join(' '))
  }
})

test('--help shows the flags of a command and one example', async () => {
  const parsed = await parseLine(['run', '--help'], {})
  assert.equal(parsed.kind, 'text')
  const { text, exitCode } = parsed as Extract<typeof parsed, { kind: 'text' }>
  assert.equal(exitCode, 0)
  assert.match(text, /--cidfile[\s\S]*Example:\n {2}enclave-cc run/)
})

test('--help of every group, and of a group in a group, shows one example', async () => {
  const groups = Object.keys(GROUPS).map((word) => [word])
  for (const path of [...groups, ['kbs', 'resource'], ['kbs', 'policy']]) {
    const parsed = await parseLine([...path, '--help'], {})
    assert.equal(parsed.kind, 'text')
    const { text } = parsed as Extract<typeof parsed, { kind: 'text' }>
    const lines = text.split('\n').filter((line) => line === 'Example:')
    assert.equal(lines.length, 1, path.join(' '))
    assert.match(text, new RegExp(`\nExample:\n  (.* )?enclave-cc ${path.join(' ')}\\b`))
  }
})

test('a command cannot ask for a flag that it does not declare', async () => {
  const found = await input('ps')
  assert.throws(() => found.flag('detach'), TypeError)
})

test('nearest() finds slips, not other words', () => {
  const names = ['json', 'root', 'state']
  assert.equal(nearest('jsno', names), undefined)
  assert.equal(nearest('jsn', names), 'json')
  assert.equal(nearest('sate', names), 'state')
  assert.equal(nearest('', names), undefined)
})
