import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { runcError } from './runc-log.ts'

// Lines as runc 1.1.5 writes them.
const line = (msg: string): string => `${JSON.stringify({ level: 'error', msg, time: '2026' })}\n`
const prefix = 'runc run failed: unable to start container process: '

test('tells missing, not executable and other failures apart', () => {
  const cases: [string, string, number][] = [
    [
      `${prefix}exec: "nothing": executable file not found in $PATH`,
      'CONTAINER_COMMAND_NOT_FOUND',
      127,
    ],
    [
      `${prefix}exec: "/bin/x": stat /bin/x: no such file or directory`,
      'CONTAINER_COMMAND_NOT_FOUND',
      127,
    ],
    [`${prefix}exec: "/etc/x": permission denied`, 'CONTAINER_COMMAND_NOT_EXECUTABLE', 126],
    [`${prefix}exec: "/etc": is a directory`, 'CONTAINER_COMMAND_NOT_EXECUTABLE', 126],
    [`${prefix}error during container init: cgroups`, 'CONTAINER_START_FAILED', 125],
  ]
  for (const [message, code, exitCode] of cases) {
    const error = runcError(utf8(line('warning') + line(message)))
    assert.deepEqual([error.code, error.details?.exitCode], [code, exitCode], message)
  }
})

test('a log without a reason, or with other lines, still gives an error', () => {
  for (const log of ['', 'not json\n', '{"level":"info","msg":"x"}\n', '[]\n']) {
    assert.equal(runcError(utf8(log)).code, 'CONTAINER_START_FAILED')
  }
  assert.equal(runcError(Uint8Array.of(0xff)).code, 'CONTAINER_START_FAILED')
})
