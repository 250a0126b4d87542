import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { test } from 'node:test'
import { MemoryFile, pieces, sha256 } from '../../../test/support/layer-blob.ts'
import { spoolLayer, unpackLayer } from './index.ts'

const CODES: Readonly<Record<string, string>> = {
  dotdot: 'EROFS_PATH',
  'root-is-a-link': 'EROFS_NOT_DIRECTORY',
  'through-a-symlink': 'EROFS_NOT_DIRECTORY',
  'hard-link-out': 'EROFS_LINK_TARGET',
  'pax-size': 'TAR_TRUNCATED',
  'whiteout-of-dots': 'LAYER_WHITEOUT',
  'overlay-xattr': 'LAYER_XATTR',
  'literal-whiteout': 'LAYER_DEVICE',
  sparse: 'TAR_UNSUPPORTED',
  trailing: 'TAR_TRAILING',
}

const folder = new URL('../../../test/vectors/tar/', import.meta.url).pathname
const files = globSync('hostile-*.tar', { cwd: folder })

test('there is a code for each hostile archive and an archive for each code', () => {
  const names = files.map((file) => basename(file, '.tar').replace('hostile-', ''))
  assert.deepEqual(names.sort(), Object.keys(CODES).sort())
})

for (const [name, code] of Object.entries(CODES)) {
  test(`unpackLayer() refuses hostile-${name}.tar`, async () => {
    const archive = new Uint8Array(readFileSync(`${folder}hostile-${name}.tar`))
    const descriptor = { size: archive.length, digest: sha256(archive) }
    const spooled = await spoolLayer({ source: pieces(archive), descriptor })
    const options = { spooled, compression: 'none', diffId: sha256(archive) } as const
    await assert.rejects(unpackLayer({ ...options, sink: new MemoryFile() }), { code })
  })
}
