import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BodyRoom } from './body-room.ts'

async function* bytes(...sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const size of sizes) yield new Uint8Array(size)
}

function request(length: string | undefined, ...sizes: readonly number[]) {
  const headers = length === undefined ? {} : { 'content-length': length }
  return Object.assign(bytes(...sizes), { headers })
}

test('a body is refused by its announced size before anything is read, and by its real one', async () => {
  const room = new BodyRoom()
  let asked = false
  const announced = Object.assign(
    (async function* () {
      asked = true
      yield new Uint8Array(1)
    })(),
    { headers: { 'content-length': '11' } },
  )
  await assert.rejects(room.reader(announced).read(10), { code: 'KBS_BODY_TOO_LARGE' })
  assert.equal(asked, false)
  await assert.rejects(room.reader(request(undefined, 6, 5)).read(10), {
    code: 'KBS_BODY_TOO_LARGE',
  })
  assert.equal((await room.reader(request('10', 6, 4)).read(10)).length, 10)
})

test('bodies share one room, and each gives its part back', async () => {
  const room = new BodyRoom(10)
  const first = room.reader(request(undefined, 6))
  await first.read(10)
  const second = room.reader(request(undefined, 3, 2))
  await assert.rejects(second.read(10), { code: 'KBS_BUSY' })
  second.release()
  first.release()
  first.release()
  const third = room.reader(request(undefined, 10))
  assert.equal((await third.read(10)).length, 10)
  await assert.rejects(room.reader(request(undefined, 1)).read(10), { code: 'KBS_BUSY' })
})
