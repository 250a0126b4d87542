import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { toHex } from '#lib/bytes'
import { busyboxBinary } from '../support/busybox-image.ts'
import { launchOf, sealLayer, testFolder } from '../support/init-harness.ts'
import { eventually, findTraces, NO_TRACES } from '../support/traces.ts'

function missing(): string | false {
  if (process.getuid?.() !== 0) return 'needs root'
  if (!existsSync('/dev/fuse')) return 'needs /dev/fuse'
  if (!existsSync('/dev/loop-control')) return 'needs /dev/loop-control'
  if (spawnSync('sh', ['-c', 'command -v runc']).status !== 0) return 'needs runc'
  return false
}

const skip = missing()
if (skip) console.log(`skip: loop fallback: ${skip}`)

const ENODEV = 19
const ENOTBLK = 15

test('a kernel without EROFS from a file gets loop devices, which are gone afterwards', {
  skip,
}, async () => {
  const { stdout, stderr, status } = await runOn({ type: 'erofs', errno: ENOTBLK })
  assert.deepEqual([stdout, stderr, status], ['inside\n', '', 9])
})

test('a kernel that lacks a filesystem is named as such, and nothing stays mounted', {
  skip,
}, async () => {
  for (const [type, told] of [
    ['erofs', /^EROFS_MISSING: .*the kernel has no such filesystem \(ENODEV\)\n$/],
    [
      'overlay',
      /^ROOTFS_MOUNT_FAILED: mounting the root filesystem: mount overlay on .*: ENODEV\n$/,
    ],
    ['fuse.sealed', /^ROOTFS_MOUNT_FAILED: .*: mount fuse\.sealed on .*: ENODEV\n$/],
  ] as const) {
    const { stdout, stderr, status } = await runOn({ type, errno: ENODEV })
    assert.match(stderr, told)
    assert.deepEqual([stdout, status], ['', 1])
  }
})

/** One container on a kernel with this fault; nothing of it may stay, however it ended. */
async function runOn(fault: { type: string; errno: number }) {
  using folder = testFolder()
  const tree = join(folder.path, 'tree')
  for (const name of ['bin', 'proc', 'dev', 'sys']) mkdirSync(join(tree, name), { recursive: true })
  copyFileSync(busyboxBinary(), join(tree, 'bin/busybox'))
  chmodSync(join(tree, 'bin/busybox'), 0o755)
  symlinkSync('busybox', join(tree, 'bin/sh'))
  const layer = await sealLayer(tree, join(folder.path, 'spool'), 'layer-0')
  const config = launchOf([layer], ['/bin/sh', '-c', 'echo inside; exit 9'])
  const base = join(folder.path, 'mounts')
  const job = join(folder.path, 'job.json')
  const { key, root, header, file } = layer
  const hex = { key: toHex(key), root: toHex(root), header: toHex(header), file }
  const spool = join(folder.path, 'spool')
  const places = { base, spool, cache: spool, runc: '/usr/sbin/runc' }
  writeFileSync(job, JSON.stringify({ ...places, fault, config, layers: [hex] }))
  const entry = join(import.meta.dirname, '../support/stack-entry.ts')
  const run = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', entry, job], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  await eventually(() => findTraces(base, config.cgroupsPath).loops.length === 0)
  assert.deepEqual(findTraces(base, config.cgroupsPath), NO_TRACES)
  return run
}
