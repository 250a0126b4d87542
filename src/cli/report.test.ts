import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CodedError } from '#lib/errors'
import { startProgress } from './progress.ts'
import { reportLines, toExit, toReport } from './report.ts'

test('a failure is a sentence with its code, and a next step; with --json one object', () => {
  const report = toReport(new CodedError('USAGE', 'no', { correlationId: 'c' }))
  assert.equal(
    reportLines(report, false),
    'error: no (id c) [USAGE]\nnext: see --help of the command\n',
  )
  assert.deepEqual(JSON.parse(reportLines(report, true)), {
    error: {
      code: 'USAGE',
      message: 'no',
      next: 'see --help of the command',
      retryable: false,
      correlationId: 'c',
    },
  })
})

test('an error of the system gets a code, anything else is a defect', () => {
  const errno = (code: string): string => toReport(Object.assign(new Error('x'), { code })).code
  assert.equal(errno('ENOSPC'), 'DISK_FULL')
  assert.equal(errno('ENOENT'), 'INPUT_UNREADABLE')
  assert.equal(errno('EEXIST'), 'OUTPUT_EXISTS')
  assert.equal(toReport(new TypeError('x')).code, 'INTERNAL')
  assert.equal(toReport(undefined).code, 'INTERNAL')
})

test('exit codes: the error’s own, then the signal’s, then 2 for usage, else 1', () => {
  const own = Object.assign(new Error('x'), { exitCode: 127 })
  assert.equal(toExit(own, 'SIGINT'), 127)
  assert.equal(toExit(new Error('x'), 'SIGINT'), 130)
  assert.equal(toExit(new Error('x'), 'SIGTERM'), 143)
  assert.equal(toExit(new CodedError('INPUT_UNREADABLE', 'x'), undefined), 2)
  assert.equal(toExit(new CodedError('KBS_UNREACHABLE', 'x'), undefined), 1)
})

test('what a peer says cannot forge a line of ours or move the cursor', () => {
  const report = toReport(new CodedError('X_Y', 'a\nnext: rm -rf /\u001b[2J', { next: 'b\nc' }))
  assert.equal(reportLines(report, false), 'error: a next: rm -rf / [2J [X_Y]\nnext: b c\n')
  let text = ''
  const out = { write: (part: string) => (text += part) }
  startProgress('step', out, () => 0).done('x\u001b[2Jy')
  assert.equal(text, '✓ step  x [2Jy  (0.00 s)\n')
})

test('progress redraws on a terminal alone; elsewhere it is one line a step', () => {
  for (const isTTY of [false, true]) {
    let text = ''
    let now = 0
    const out = { isTTY, write: (part: string) => (text += part) }
    const progress = startProgress('step', out, () => {
      now += 100
      return now
    })
    progress.update(1, 2)
    progress.done()
    progress.fail()
    assert.equal(text.includes('\u001b'), isTTY)
    assert.equal(text.split('\n').length, 2)
  }
})
