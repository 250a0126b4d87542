import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toBase64, utf8 } from '#lib/bytes'
import { parseReference } from '#lib/oci'
import { evaluateImagePolicy, parsePolicy, SigningError } from './index.ts'
import { matchScope, scopesOf } from './scope.ts'
import { newSigningKey } from './sign/index.ts'

const { publicPem } = newSigningKey()
const keyData = toBase64(publicPem)
const reject = { type: 'reject' }
const refused = (value: unknown) =>
  assert.throws(
    () => parsePolicy(utf8(typeof value === 'string' ? value : JSON.stringify(value))),
    (error) => error instanceof SigningError && error.code === 'IMAGE_POLICY_INVALID',
    JSON.stringify(value),
  )

test('parsePolicy() refuses unknown and doubled members, a missing default and empty arrays', () => {
  refused({})
  refused({ transports: {} })
  refused({ default: [] })
  refused({ default: [reject], transports: { docker: { 'a.example': [] } } })
  refused({ default: [reject], extra: 1 })
  refused({ default: [{ ...reject, extra: 1 }] })
  refused({ default: [{ type: 'toString' }] })
  refused({ default: [{}] })
  refused({ default: reject })
  refused('{"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]}')
  refused('{"default":[{"type":"reject","type":"insecureAcceptAnything"}]}')
  refused('{"default":[{"type":"reject"}]}x')
  refused('')
})

test('parsePolicy() refuses signature requirements that containers/image refuses', () => {
  const sigstore = (members: object) =>
    refused({ default: [{ type: 'sigstoreSigned', ...members }] })
  sigstore({})
  sigstore({ keyData, keyDatas: [keyData] })
  sigstore({ keyData: 'not base64' })
  sigstore({ keyData: toBase64(utf8('no key')) })
  sigstore({ keyDatas: [] })
  sigstore({ keyDatas: keyData })
  sigstore({ keyPath: '' })
  sigstore({ keyData, signedIdentity: { type: 'matchAnything' } })
  sigstore({ keyData, signedIdentity: { type: 'matchExact', prefix: 'x' } })
  sigstore({ keyData, signedIdentity: { type: 'exactReference', dockerReference: 'a.example/x' } })
  sigstore({ keyData, signedIdentity: { type: 'exactRepository', dockerRepository: '***' } })
  sigstore({
    keyData,
    signedIdentity: { type: 'remapIdentity', prefix: 'a.example/', signedPrefix: 'b' },
  })
  sigstore({ keyData, rekorPublicKeyData: 'AAAA', rekorPublicKeyPath: '/x' })
  sigstore({ fulcio: { caData: 'AAAA', oidcIssuer: 'x', subjectEmail: 'y' } })
  sigstore({ pki: { caRootsData: 'AAAA', subjectEmail: 'y' }, rekorPublicKeyData: 'AAAA' })
  sigstore({ pki: { caRootsData: 'AAAA' } })
  refused({ default: [{ type: 'signedBy', keyData: 'AAAA' }] })
  refused({ default: [{ type: 'signedBy', keyType: 'GPGKeys', keyDatas: ['AAAA'] }] })
  refused({ default: [{ type: 'signedBaseLayer' }] })
})

test('parsePolicy() takes keyData as base64 of PEM and, as CoCo writes it, as PEM', () => {
  const text = new TextDecoder().decode(publicPem)
  for (const data of [{ keyData }, { keyData: text }, { keyDatas: [keyData, text] }]) {
    const policy = parsePolicy(
      utf8(JSON.stringify({ default: [{ type: 'sigstoreSigned', ...data }] })),
    )
    assert.equal(policy.default[0]?.type, 'sigstoreSigned')
  }
})

test('parsePolicy() never throws anything but its own error', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), (text) => {
      try {
        parsePolicy(utf8(text))
      } catch (error) {
        assert.ok(error instanceof SigningError)
      }
    }),
  )
})

test('scopes are tried from the full name to the empty scope', () => {
  assert.deepEqual(scopesOf(parseReference('a.b.example:5000/team/app:1')), [
    'a.b.example:5000/team/app:1',
    'a.b.example:5000/team/app',
    'a.b.example:5000/team',
    'a.b.example:5000',
    '*.b.example',
    '*.example',
    '',
  ])
  assert.deepEqual(scopesOf(parseReference('busybox')).slice(0, 4), [
    'docker.io/library/busybox:latest',
    'docker.io/library/busybox',
    'docker.io/library',
    'docker.io',
  ])
  const digest = `sha256:${'a'.repeat(64)}`
  assert.equal(scopesOf(parseReference(`h.example/x:1@${digest}`))[0], `h.example/x@${digest}`)
  assert.deepEqual(scopesOf(parseReference('localhost:5000/x')).slice(-2), ['localhost:5000', ''])
})

test('the first scope that is there wins, and nothing is merged', () => {
  const accept = [{ type: 'insecureAcceptAnything' }]
  const verdict = (docker: object, name: string) => {
    const policy = parsePolicy(utf8(JSON.stringify({ default: [reject], transports: { docker } })))
    const { scope } = matchScope(policy, parseReference(name))
    const { accepted } = evaluateImagePolicy({
      policy,
      reference: parseReference(name),
      manifestDigest: `sha256:${'a'.repeat(64)}`,
      signatures: [],
    })
    return [scope, accepted]
  }
  assert.deepEqual(verdict({ 'h.example': accept }, 'h.example/x'), ['h.example', true])
  // A host without port is another scope than the same host with one.
  assert.deepEqual(verdict({ 'h.example': accept }, 'h.example:5000/x'), ['default', false])
  assert.deepEqual(verdict({ '*.example': accept }, 'h.example:5000/x'), ['*.example', true])
  assert.deepEqual(verdict({ '*.h.example': accept }, 'h.example/x'), ['default', false])
  assert.deepEqual(verdict({ 'h.example/x': [reject], 'h.example': accept }, 'h.example/x'), [
    'h.example/x',
    false,
  ])
  assert.deepEqual(verdict({ 'h.example/te': accept }, 'h.example/team/x'), ['default', false])
  assert.deepEqual(verdict({ '': accept }, 'h.example/x'), ['docker', true])
  assert.deepEqual(verdict({ '': accept, 'h.example/x:1': [reject] }, 'h.example/x:1'), [
    'h.example/x:1',
    false,
  ])
})

test('scopes of other transports never apply to images from a registry', () => {
  const accept = [{ type: 'insecureAcceptAnything' }]
  const policy = parsePolicy(
    utf8(
      JSON.stringify({
        default: [reject],
        transports: { oci: { '': accept }, 'docker-daemon': { '': accept } },
      }),
    ),
  )
  assert.equal(matchScope(policy, parseReference('h.example/x')).scope, 'default')
})
