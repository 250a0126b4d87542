import assert from 'node:assert/strict'
import { fromUtf8, utf8 } from '#lib/bytes'
import { formatReference, isHost, isRepository, parseReference } from '#lib/oci'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`

/** The name of an image: a typed error, or parts of the grammar that name the same image when written in full. */
export const target: FuzzTarget = {
  format: 'reference',
  seeds: () =>
    [
      'alpine',
      'alpine:3.20',
      'docker.io/library/alpine',
      `registry.example:5000/team/app_x.y--z:1@${DIGEST}`,
      `[::1]:5000/app@${DIGEST}`,
      'localhost/app',
    ].map(utf8),
  run: fuzzReference,
}

function fuzzReference(data: Uint8Array): void {
  const reference = parseReference(fromUtf8(data, 'reference'))
  assert.deepEqual(parseReference(formatReference(reference)), reference)
  assert.ok(isHost(reference.host) && isRepository(reference.repository))
  // the three parts become parts of a URL: nothing in them may end a path or begin a query
  assert.doesNotMatch(formatReference(reference), /[\s?#%\\]|\.\.\/|\/\//)
}
