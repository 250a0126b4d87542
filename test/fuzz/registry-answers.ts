import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import { parseAuthFile } from '#lib/registry'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { parseChallenges } from '../../src/lib/registry/challenge.ts'
import { nextLink, resolveLocation } from '../../src/lib/registry/location.ts'

const BASE = new URL('https://registry.example/v2/app/blobs/')

/**
 * What a registry or an owner sends that is not a manifest; the first byte chooses: WWW-Authenticate,
 * Location, Link, credentials.
 */
export const target: FuzzTarget = { format: 'registry', seeds, run: fuzzAnswer }

function* seeds(): Generator<Uint8Array> {
  const seed = (index: number, text: string): Uint8Array => Uint8Array.of(index, ...utf8(text))
  yield seed(
    0,
    'Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull", Basic realm=x',
  )
  yield seed(1, '/v2/app/blobs/uploads/1?state=x')
  yield seed(1, 'https://storage.example/blob?sig=1')
  yield seed(2, '</v2/app/tags/list?last=b&n=2>; rel="next"')
  yield seed(
    3,
    '{"auths":{"registry.example":{"auth":"dXNlcjpwYXNz"}},"credHelpers":{"a.example":"x"}}',
  )
}

function fuzzAnswer(data: Uint8Array): void {
  // headers are latin1 where Node gives them
  const text = Buffer.from(data.subarray(1)).toString('latin1')
  switch ((data[0] ?? 0) % 4) {
    case 0:
      for (const { scheme, parameters } of parseChallenges([text])) {
        assert.match(scheme, /^[!-~]+$/)
        for (const name of parameters.keys()) assert.equal(name, name.toLowerCase())
      }
      return
    case 1:
      assert.match(resolveLocation(BASE, text).protocol, /^https?:$/)
      return
    case 2:
      assert.ok(['string', 'undefined'].includes(typeof nextLink([text])))
      return
    default:
      assert.ok(parseAuthFile(data.subarray(1)).auths)
  }
}
