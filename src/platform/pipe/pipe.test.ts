import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { openPipe } from './index.ts'

test('a child may open /dev/stdout anew on our pipe, and we see its end', async () => {
  const pipe = openPipe()
  spawn('sh', ['-c', 'echo a; echo b >/dev/stdout'], { stdio: ['ignore', pipe.writeFd, 'inherit'] })
  pipe.closeWrite()
  let text = ''
  for await (const chunk of pipe.read) text += String(chunk)
  assert.equal(text, 'a\nb\n')
})
