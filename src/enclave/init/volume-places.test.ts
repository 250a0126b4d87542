import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Scratch } from './scratch.ts'
import { placeVolumes } from './volume-places.ts'

test('placeVolumes() leaves directories where they are and follows no link of an image', () => {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-volumes-'))
  try {
    const [rootfs, outside] = [join(folder, 'r'), join(folder, 'outside')]
    for (const path of [join(rootfs, 'data/deep'), join(folder, 's'), join(outside, 'x')]) {
      mkdirSync(path, { recursive: true })
    }
    writeFileSync(join(rootfs, 'file'), '')
    symlinkSync(outside, join(rootfs, 'link'))
    const scratch = (kind: 'disk' | 'tmpfs'): Scratch => ({
      policy: { kind, size: 2 ** 30 },
      path: join(folder, 's'),
      abandon() {},
      async unmount() {},
    })
    const volumes = ['/data', '/data/deep', '/new/er', '/link/x', '/file', '/file/y']
    const places = placeVolumes(rootfs, volumes, scratch('disk'))
    assert.deepEqual(Object.fromEntries(places), {
      '/data': { kind: 'rootfs' },
      '/data/deep': { kind: 'rootfs' },
      '/new/er': { kind: 'directory', path: join(folder, 's/v/2') },
    })
    assert.ok(existsSync(join(folder, 's/v/2')))
    assert.equal(existsSync(join(rootfs, 'new')), false)
    assert.equal(placeVolumes(rootfs, volumes, scratch('tmpfs')).size, 0)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
