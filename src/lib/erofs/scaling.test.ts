import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BytePool } from './byte-pool.ts'
import { S_IFIFO } from './format.ts'
import { EROFS_LIMITS } from './limits.ts'
import { planImage } from './plan.ts'
import { Tree } from './tree.ts'

/**
 * Look-ups, comparisons and names read that a tree of these paths takes, up to its plan. A probe of the hash table
 * that meets another name of the same directory and length reads it.
 */
function work(paths: readonly string[]): { finds: number; compares: number; reads: number } {
  const tree = new Tree(EROFS_LIMITS)
  const { dirents } = tree
  const [find, compare] = [dirents.find.bind(dirents), dirents.compare.bind(dirents)]
  const counted = { finds: 0, compares: 0, reads: 0 }
  const { get } = Object.getOwnPropertyDescriptor(BytePool.prototype, 'bytes') ?? {}
  Object.defineProperty(dirents.names, 'bytes', {
    get() {
      counted.reads++
      return get?.call(dirents.names)
    },
  })
  dirents.find = (parent, name) => {
    counted.finds++
    return find(parent, name)
  }
  dirents.compare = (a, b) => {
    counted.compares++
    return compare(a, b)
  }
  for (const path of paths) tree.add(path, S_IFIFO, 0o644, {})
  planImage(tree, 1)
  return counted
}

const FEW = 2000
const MANY = 32_000
const name = (i: number): string => `${i}`.padStart(6, '0')

test('work grows with entries times the logarithm of a directory, in any order of arrival', () => {
  const shapes: readonly (readonly [string, (count: number) => string[]])[] = [
    ['one directory, ascending', (n) => Array.from({ length: n }, (_, i) => `d/${name(i)}`)],
    ['one directory, descending', (n) => Array.from({ length: n }, (_, i) => `d/${name(n - i)}`)],
    [
      'one directory, mixed',
      (n) => Array.from({ length: n }, (_, i) => `d/${name((i * 7919) % n)}`),
    ],
    ['directories of 100', (n) => Array.from({ length: n }, (_, i) => `${i % (n / 100)}/${i}`)],
    ['a directory each', (n) => Array.from({ length: n }, (_, i) => `${name(i)}/x`)],
    ['one path again and again', (n) => Array.from({ length: n }, () => 'd/same')],
  ]
  for (const [shape, paths] of shapes) {
    for (const count of [FEW, MANY]) {
      const { finds, compares, reads } = work(paths(count))
      const told = `${shape}: ${count} entries, ${finds} look-ups, ${compares} comparisons, ${reads} names read`
      assert.ok(finds <= 4 * count, told)
      assert.ok(compares <= 2 * count * Math.log2(count), told)
      // Each comparison reads, each insertion (twice, with growth) and the probes of each look-up.
      assert.ok(reads > count && reads - compares <= 8 * finds, told)
    }
  }
})

test('many hard links to one file are counted without walking their list', () => {
  const tree = new Tree(EROFS_LIMITS)
  let finds = 0
  const find = tree.dirents.find.bind(tree.dirents)
  tree.dirents.find = (parent, at) => {
    finds++
    return find(parent, at)
  }
  tree.add('file', S_IFIFO, 0o644, {})
  // Half of them before their target: each of those waits, and is looked up again at the end.
  for (let i = 0; i < MANY; i++) tree.addHardlink(`l/${i}`, i % 2 === 0 ? 'file' : 'later')
  tree.add('later', S_IFIFO, 0o644, {})
  planImage(tree, 1)
  assert.ok(finds <= 6 * MANY, `${finds}`)
})
