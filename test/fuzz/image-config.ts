import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import { digestOf, isDigest, parseImageConfig } from '#lib/oci'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/** An image configuration: a typed error, or texts without NUL and layers by digest. */
export const target: FuzzTarget = { format: 'image-config', seeds, run: fuzzConfig }

function* seeds(): Generator<Uint8Array> {
  const config = {
    User: '0:0',
    Env: ['PATH=/bin', 'A='],
    Entrypoint: ['/bin/sh', '-c'],
    Cmd: ['echo'],
    WorkingDir: '/work',
    Volumes: { '/data': {} },
    StopSignal: 'SIGTERM',
    ExposedPorts: { '80/tcp': {} },
    Labels: { a: 'b' },
  }
  const rootfs = { type: 'layers', diff_ids: [digestOf(utf8('a')), digestOf(utf8('b'))] }
  const history = [{ created_by: 'x', empty_layer: true }]
  yield utf8(
    JSON.stringify({ os: 'linux', architecture: 'amd64', created: '', config, rootfs, history }),
  )
  yield utf8(JSON.stringify({ os: 'linux', architecture: 'arm64', config: { Env: null }, rootfs }))
}

function fuzzConfig(data: Uint8Array): void {
  const { config, rootfs } = parseImageConfig(data)
  const { User, WorkingDir, Env, Entrypoint, Cmd, Volumes } = config
  for (const text of [User, WorkingDir, ...Env, ...Entrypoint, ...Cmd, ...Volumes]) {
    assert.ok(!text.includes('\0'))
  }
  assert.ok(rootfs.diffIds.every(isDigest))
}
