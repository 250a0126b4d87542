import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CommandContext } from '#lib/command'
import { JobProgress } from './job-progress.ts'

function recorder(): { progress: JobProgress; lines: string[] } {
  const lines: string[] = []
  const context = {
    progress: (label: string) => ({
      update: (done: number, total?: number) => lines.push(`${label}: ${done}/${total}`),
      done: (text?: string) => lines.push(`${label} done ${text ?? ''}`.trim()),
      fail: (text?: string) => lines.push(`${label} failed ${text ?? ''}`.trim()),
    }),
  } as unknown as CommandContext
  return { progress: new JobProgress(context), lines }
}

test('a step ends when the next begins, with the last text it had', () => {
  const { progress, lines } = recorder()
  progress.show({ event: 'progress', step: 'manifest' })
  progress.show({ event: 'progress', step: 'manifest', text: 'sha256:1' })
  progress.show({ event: 'progress', step: 'layer', done: 1, total: 2 })
  progress.show({ event: 'progress', step: 'ready' })
  progress.end()
  assert.deepEqual(lines, [
    'fetch manifest done sha256:1',
    'fetch, verify and seal layers: 1/2',
    'fetch, verify and seal layers done',
  ])
})

test('a failure marks the step that was going on, once', () => {
  const { progress, lines } = recorder()
  progress.show({ event: 'progress', step: 'attest' })
  progress.fail()
  progress.fail()
  progress.end()
  assert.deepEqual(lines, ['attest to the broker failed'])
})
