import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startProgress } from './progress.ts'

function screen(isTTY: boolean): { isTTY: boolean; text: string; write(text: string): void } {
  return {
    isTTY,
    text: '',
    write(text) {
      this.text += text
    },
  }
}

test('without a terminal a step is one line, when it ends', () => {
  const out = screen(false)
  let now = 0
  const progress = startProgress('pull', out, () => now)
  progress.update(1, 2)
  now = 1500
  progress.done('ok')
  progress.fail()
  assert.equal(out.text, '✓ pull  ok  (1.50 s)\n')
})

test('a terminal shows a bar that the end replaces', () => {
  const out = screen(true)
  let now = 1000
  const progress = startProgress('pull', out, () => now)
  now = 2000
  progress.update(1048576, 2097152)
  assert.match(out.text, /pull {2}\[█{12} {12}\] 50% {2}1\.0 MiB$/)
  progress.fail('cut off')
  assert.ok(out.text.endsWith('\r\u001b[K✗ pull  cut off  (1.00 s)\n'))
})

test('--progress json says each change on a line, and nothing after the end', () => {
  const out = screen(true)
  const progress = startProgress('pull', out, () => 0, 'json')
  progress.update(1, 2)
  progress.done()
  progress.update(2, 2)
  assert.deepEqual(
    out.text
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { state: string }).state),
    ['begin', 'update', 'done'],
  )
})
