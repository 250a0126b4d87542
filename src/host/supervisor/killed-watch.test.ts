import assert from 'node:assert/strict'
import { test } from 'node:test'
import { watchForKilled } from './killed-watch.ts'

test('an init is looked at again and again until nobody needs it any more', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let looks = 0
  {
    using _watch = watchForKilled({ releaseIfKilled: () => void looks++ })
    t.mock.timers.tick(60_000)
    assert.equal(looks, 120)
  }
  t.mock.timers.tick(60_000)
  assert.equal(looks, 120)
})
