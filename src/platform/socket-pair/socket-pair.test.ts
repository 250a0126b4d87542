import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { socketPair } from './index.ts'

test('a child talks over descriptor 0 in both directions and sees its end', async () => {
  const pair = socketPair()
  const child = spawn('sh', ['-c', 'read x; echo "got $x" >&0; cat >/dev/null'], {
    stdio: [pair.theirs, 'ignore', 'inherit'],
  })
  pair.closeTheirs()
  pair.ours.write('hello\n')
  const [chunk] = (await once(pair.ours, 'data')) as [Buffer]
  assert.equal(chunk.toString(), 'got hello\n')
  pair.ours.end()
  const [code] = (await once(child, 'exit')) as [number]
  assert.equal(code, 0)
  pair.ours.destroy()
})
