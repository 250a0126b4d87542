import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { dirname, join } from 'node:path'
import { before, describe, test } from 'node:test'
import { differing, type Explanation, pageOf, type StackSeen } from './page.ts'
import { playOurs, playPlain, type Seen } from './stacks.ts'

const PAGE = join(dirname(dirname(dirname(import.meta.dirname))), 'docs/posix-behaviour.md')
const KERNEL = release().split('.').slice(0, 2).join('.')
const explanations = JSON.parse(
  readFileSync(join(import.meta.dirname, 'differences.json'), 'utf8'),
) as readonly Explanation[]

const skip =
  process.getuid?.() !== 0 ? 'needs root' : existsSync('/dev/fuse') ? undefined : 'needs /dev/fuse'

describe('the root filesystem of a container', { skip: skip ?? false }, () => {
  let plain: readonly Seen[]
  let ours: readonly StackSeen[]

  before(async () => {
    plain = playPlain()
    ours = [
      { stack: 'tmpfs scratch', seen: await playOurs('tmpfs') },
      { stack: 'disk scratch', seen: await playOurs('disk') },
    ]
    // POSIX_WRITE=1 renews the page.
    if (process.env.POSIX_WRITE === '1')
      writeFileSync(PAGE, pageOf(KERNEL, plain, ours, explanations))
  })

  test('plays the same behaviours on every stack, and none of them broke', () => {
    assert.ok(plain.length > 200)
    for (const { seen } of [{ seen: plain }, ...ours]) {
      assert.deepEqual(
        seen.map(({ id }) => id),
        plain.map(({ id }) => id),
      )
      const broken = seen.filter(({ got }) => got === '' || /^\w*(Error|Exception): /.test(got))
      assert.deepEqual(broken, [])
      assert.deepEqual(
        seen.filter(({ got }) => got === 'SIGALRM'),
        [],
        'a behaviour hung',
      )
    }
  })

  test('behaves like overlay on ext4 but for the differences that are explained', () => {
    for (const { stack, seen } of ours) {
      const explained = explanations
        .filter((e) => e.stacks.includes(stack))
        .flatMap(({ ids }) => ids)
      assert.equal(new Set(explained).size, explained.length, 'one reason for each')
      const found = differing(plain, seen)
      const unexplained = found.filter((id) => !explained.includes(id))
      const shown = seen.filter(({ id }) => unexplained.includes(id))
      assert.deepEqual(shown, [], `${stack}: differences without a reason`)
      const gone = explained.filter((id) => !found.includes(id))
      assert.deepEqual(gone, [], `${stack}: explained, but no difference any more`)
    }
  })

  test('is described by the page', () => {
    const page = readFileSync(PAGE, 'utf8')
    // What another kernel does is another table; differences are judged above on every kernel.
    if (!page.includes(`on Linux ${KERNEL};`)) return
    assert.equal(page, pageOf(KERNEL, plain, ours, explanations), 'renew it with POSIX_WRITE=1')
  })
})

if (skip !== undefined) console.log(`skip: the root filesystem of a container: ${skip}`)
