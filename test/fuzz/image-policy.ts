import assert from 'node:assert/strict'
import { toBase64, utf8 } from '#lib/bytes'
import { digestOf, parseReference } from '#lib/oci'
import { evaluateImagePolicy, parsePolicy } from '#lib/signing'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorJson } from '../support/vector-file.ts'

const REFERENCE = parseReference('registry.example/team/app:1')
const [{ spki } = { spki: '' }] = vectorJson<{ spki: string }[]>('signing/cosign.json')
const PEM = `-----BEGIN PUBLIC KEY-----\n${spki}\n-----END PUBLIC KEY-----\n`

/**
 * A policy.json: a typed error, or a policy that decides. An image without signatures is accepted only by
 * `insecureAcceptAnything`, so the word must stand in the text.
 */
export const target: FuzzTarget = { format: 'image-policy', seeds, run: fuzzPolicy }

function* seeds(): Generator<Uint8Array> {
  const signed = (keyData: string, signedIdentity?: object): object => ({
    type: 'sigstoreSigned',
    keyData,
    ...(signedIdentity === undefined ? {} : { signedIdentity }),
  })
  const identity = { type: 'remapIdentity', prefix: 'registry.example', signedPrefix: 'a.example' }
  yield utf8(JSON.stringify({ default: [{ type: 'reject' }] }))
  yield utf8(
    JSON.stringify({
      default: [{ type: 'insecureAcceptAnything' }],
      transports: {
        docker: {
          'registry.example/team': [signed(toBase64(utf8(PEM)), identity)],
          '*.example': [signed(PEM, { type: 'matchRepository' })],
          '': [{ type: 'reject' }],
        },
      },
    }),
  )
}

async function fuzzPolicy(data: Uint8Array): Promise<void> {
  const policy = parsePolicy(data)
  const { accepted } = await evaluateImagePolicy({
    policy,
    reference: REFERENCE,
    manifestDigest: digestOf(utf8('manifest')),
    signatures: [],
  })
  if (accepted) assert.match(Buffer.from(data).toString(), /insecureAcceptAnything/)
}
