import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fromBase64, fromUtf8, toBase64, utf8 } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { digestOf, parseImageManifest, parseReference } from '#lib/oci'
import {
  evaluateImagePolicy,
  type ImageSignature,
  parsePayload,
  parsePolicy,
  parseVerificationKey,
  policyKeyPaths,
  readSignatures,
  SIGNATURE_ANNOTATION,
  signatureTag,
  verifySignature,
} from './index.ts'
import { addSignature, encodePayload, newSigningKey } from './sign/index.ts'

interface CosignVector {
  readonly spki: string
  readonly payload: string
  readonly signature: string
}
const vectors: CosignVector[] = JSON.parse(
  readFileSync(new URL('../../../test/vectors/signing/cosign.json', import.meta.url), 'utf8'),
)
const pemOf = (spki: string) =>
  utf8(`-----BEGIN PUBLIC KEY-----\n${spki}\n-----END PUBLIC KEY-----\n`)
const pem = (key: KeyObject) => utf8(key.export({ format: 'pem', type: 'spki' }).toString())

const key = newSigningKey()
const other = newSigningKey()
const reference = parseReference('registry.example/team/app:1')
const manifestDigest = digestOf(utf8('manifest'))

const signature = (payload: Uint8Array, by = key): ImageSignature => ({
  digest: digestOf(payload),
  payload,
  signature: toBase64(new Uint8Array(sign('sha256', payload, by.key))),
})
const payloadFor = (name: string, digest: string = manifestDigest) =>
  utf8(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': name },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: null,
    }),
  )
const good = signature(payloadFor('registry.example/team/app'))
const policyWith = (requirement: object) =>
  parsePolicy(
    utf8(
      JSON.stringify({
        default: [{ type: 'reject' }],
        transports: { docker: { 'registry.example/team': [requirement] } },
      }),
    ),
  )
const signedBy = (extra: object = {}, by = key) => ({
  type: 'sigstoreSigned',
  keyData: toBase64(by.publicPem),
  ...extra,
})
const judge = (
  signatures: readonly ImageSignature[],
  requirement: object = signedBy(),
  ref = reference,
) =>
  evaluateImagePolicy({
    policy: policyWith(requirement),
    reference: ref,
    manifestDigest,
    signatures,
  })
const codeOf = (...parameters: Parameters<typeof judge>) =>
  judge(...parameters).requirements[0]?.code

test('signatures made by cosign verify, and their payloads parse', () => {
  for (const { spki, payload, signature: text } of vectors) {
    const cosignKey = parseVerificationKey(pemOf(spki))
    const bytes = utf8(payload)
    const signed = fromBase64(text, 'signature')
    assert.equal(verifySignature(cosignKey, bytes, signed), true)
    assert.equal(verifySignature(cosignKey, utf8(`${payload} `), signed), false)
    assert.match(parsePayload(bytes).manifestDigest, /^sha256:/)
  }
})

test('an image signed by cosign is accepted under the name it was signed with', () => {
  const [, vector] = vectors
  assert.ok(vector)
  const payload = utf8(vector.payload)
  const { manifestDigest: digest } = parsePayload(payload)
  const policy = parsePolicy(
    utf8(
      JSON.stringify({
        default: [{ type: 'sigstoreSigned', keyData: toBase64(pemOf(vector.spki)) }],
      }),
    ),
  )
  const judgeAs = (name: string) =>
    evaluateImagePolicy({
      policy,
      reference: parseReference(name),
      manifestDigest: digest,
      signatures: [{ digest: digestOf(payload), payload, signature: vector.signature }],
    })
  const verdict = judgeAs('192.168.64.2:5000/cosign-signed-single-sample:latest')
  assert.equal(verdict.accepted, true)
  assert.equal(verdict.scope, 'default')
  assert.deepEqual(verdict.signers, [parseVerificationKey(pemOf(vector.spki)).id])
  assert.equal(judgeAs('192.168.64.2:5000/another:latest').accepted, false)
})

test('a good signature is accepted and names its signer', () => {
  assert.deepEqual(judge([good]), {
    accepted: true,
    scope: 'registry.example/team',
    requirements: [{ type: 'sigstoreSigned', ok: true, signer: key.id }],
    signers: [key.id],
    tagSigned: false,
  })
})

test('a tag counts as signed only if a good signature over this manifest names it', () => {
  const of = (
    name: string,
    ref = 'registry.example/team/app:1',
    by = key,
    digest = manifestDigest,
  ) =>
    judge(
      [signature(payloadFor(name, digest), by), good],
      signedBy({ signedIdentity: { type: 'matchRepository' } }),
      parseReference(ref),
    )
  const app = 'registry.example/team/app'
  assert.equal(of(`${app}:1`).tagSigned, true)
  assert.equal(of(app).tagSigned, false)
  assert.equal(of(`${app}:2`).tagSigned, false)
  assert.equal(of(`${app}:1`, `${app}:1`, other).tagSigned, false)
  assert.equal(of(`${app}:1`, `${app}:1`, key, digestOf(utf8('other'))).tagSigned, false)
  assert.equal(of(`${app}:1`, `${app}:1@${manifestDigest}`).tagSigned, false)
  assert.equal(of(`${app}@${manifestDigest}`, `${app}@${manifestDigest}`).tagSigned, false)
  const refused = judge([signature(payloadFor(`${app}:1`))], signedBy({}, other))
  assert.deepEqual([refused.accepted, refused.tagSigned], [false, false])
})

test('an image without signature, or signed by another key only, is refused', () => {
  assert.equal(codeOf([]), 'SIGNATURE_MISSING')
  const foreign = signature(payloadFor('registry.example/team/app'), other)
  assert.equal(codeOf([foreign]), 'SIGNATURE_INVALID')
  assert.deepEqual(judge([foreign]).signers, [])
  assert.equal(judge([foreign, good]).accepted, true)
})

test('a payload is checked against its descriptor and its signature, byte for byte', () => {
  const payload = payloadFor('registry.example/team/app')
  const edited = payload.slice()
  edited[edited.length - 1] = 0x20
  assert.equal(codeOf([{ ...good, payload: edited }]), 'SIGNATURE_INVALID')
  assert.equal(
    codeOf([{ ...good, payload: edited, digest: digestOf(edited) }]),
    'SIGNATURE_INVALID',
  )
  assert.equal(codeOf([{ ...good, digest: digestOf(edited) }]), 'SIGNATURE_INVALID')
  assert.equal(codeOf([{ ...good, signature: '***' }]), 'SIGNATURE_INVALID')
  assert.equal(codeOf([{ ...good, signature: '' }]), 'SIGNATURE_INVALID')
})

test('a signature whose base64 text is wrapped into lines is read', () => {
  const wrapped = good.signature.replace(/.{20}/g, '$&\n')
  assert.equal(judge([{ ...good, signature: wrapped }]).accepted, true)
})

test('a signature for another image is refused, also if the signer is right', () => {
  const replayed = signature(payloadFor('registry.example/team/app', digestOf(utf8('other'))))
  const [result] = judge([replayed]).requirements
  assert.equal(result?.code, 'SIGNATURE_DIGEST_MISMATCH')
  assert.equal(result?.expected, manifestDigest)
  assert.equal(result?.actual, digestOf(utf8('other')))
})

test('a signature over the index counts only where the caller names that index', () => {
  const indexDigest = digestOf(utf8('index'))
  const onIndex = signature(payloadFor('registry.example/team/app', indexDigest))
  assert.equal(judge([onIndex]).accepted, false)
  const policy = policyWith(signedBy())
  const verdict = evaluateImagePolicy({
    policy,
    reference,
    manifestDigest,
    indexDigest,
    signatures: [onIndex],
  })
  assert.equal(verdict.accepted, true)
})

test('malformed payloads are refused although their signature is good', () => {
  const text = fromUtf8(payloadFor('registry.example/team/app'), 'payload')
  for (const bad of [
    text.replace('cosign container', 'atomic container'),
    text.replace('"optional":null', '"optional":null,"more":1'),
    text.replace('"critical":{', '"critical":{"extra":1,'),
    text.replace('"identity":{', '"identity":{"docker-reference":"a/b","x":1,'),
    text.replace('"optional":null', '"optional":{"creator":1}'),
    text.replace('"optional":null', '"optional":{"timestamp":"now"}'),
    text.replace('"optional":null', '"optional":[]'),
    text.replace('{"critical"', '{"critical":{},"critical"'),
    text.replace('sha256:', 'sha256:F'),
    'null',
  ]) {
    assert.equal(codeOf([signature(utf8(bad))]), 'SIGNATURE_PAYLOAD_INVALID', bad)
  }
})

test('identity rules compare normalised names', () => {
  const digested = parseReference(`registry.example/team/app@${manifestDigest}`)
  const cases: [rule: object | undefined, signed: string, ok: boolean, ref?: typeof reference][] = [
    [undefined, 'registry.example/team/app', true],
    [undefined, 'registry.example/team/app:1', true],
    [undefined, 'registry.example/team/app:2', false],
    [undefined, 'registry.example/team/app:2', true, digested],
    [undefined, 'registry.example/team/other', false],
    [undefined, 'registry.example/team/other', false, digested],
    [undefined, 'evil.example/team/app', false],
    [undefined, '***', false],
    [{ type: 'matchRepoDigestOrExact' }, 'registry.example/team/app', true],
    [{ type: 'matchExact' }, 'registry.example/team/app', false],
    [{ type: 'matchExact' }, 'registry.example/team/app:1', true],
    [{ type: 'matchExact' }, 'registry.example/team/app:1', false, digested],
    [{ type: 'matchExact' }, `registry.example/team/app@${manifestDigest}`, true, digested],
    [{ type: 'matchRepository' }, 'registry.example/team/app:other', true],
    [{ type: 'matchRepository' }, 'registry.example/team/apple', false],
    [{ type: 'exactReference', dockerReference: 'a.example/x:1' }, 'a.example/x:1', true],
    [{ type: 'exactReference', dockerReference: 'a.example/x:1' }, 'a.example/x', false],
    [{ type: 'exactRepository', dockerRepository: 'a.example/x' }, 'a.example/x:9', true],
    [
      { type: 'exactRepository', dockerRepository: 'a.example/x' },
      'registry.example/team/app',
      false,
    ],
    [
      { type: 'exactRepository', dockerRepository: 'busybox' },
      'index.docker.io/library/busybox',
      true,
    ],
    [
      { type: 'remapIdentity', prefix: 'registry.example', signedPrefix: 'b.example' },
      'b.example/team/app',
      true,
    ],
    [
      { type: 'remapIdentity', prefix: 'registry.example/team', signedPrefix: 'b.example/z' },
      'b.example/z/app:1',
      true,
    ],
    [
      { type: 'remapIdentity', prefix: 'registry.example/team', signedPrefix: 'b.example/z' },
      'b.example/z/app:2',
      false,
    ],
    [
      { type: 'remapIdentity', prefix: 'registry.example/tea', signedPrefix: 'b.example/z' },
      'b.example/zm/app',
      false,
    ],
  ]
  for (const [rule, name, ok, ref] of cases) {
    const requirement = signedBy(rule === undefined ? {} : { signedIdentity: rule })
    const verdict = judge([signature(payloadFor(name))], requirement, ref)
    assert.equal(verdict.accepted, ok, `${JSON.stringify(rule)} ${name}`)
    if (!ok) assert.equal(verdict.requirements[0]?.code, 'SIGNATURE_IDENTITY_MISMATCH')
  }
})

test('all requirements must hold, and signers are named only if they do', () => {
  const policy = parsePolicy(utf8(JSON.stringify({ default: [signedBy(), signedBy({}, other)] })))
  const theirs = signature(payloadFor('registry.example/team/app'), other)
  const both = evaluateImagePolicy({
    policy,
    reference,
    manifestDigest,
    signatures: [good, theirs],
  })
  assert.equal(both.accepted, true)
  assert.deepEqual(new Set(both.signers), new Set([key.id, other.id]))
  const one = evaluateImagePolicy({ policy, reference, manifestDigest, signatures: [good] })
  assert.equal(one.accepted, false)
  assert.deepEqual(one.signers, [])
})

test('insecureAcceptAnything accepts but names no signer, reject never accepts', () => {
  const open = judge([good], { type: 'insecureAcceptAnything' })
  assert.equal(open.accepted, true)
  assert.deepEqual(open.signers, [])
  assert.equal(codeOf([good], { type: 'reject' }), 'IMAGE_POLICY_REJECTS')
})

test('requirements that cannot be checked here fail closed', () => {
  const keyData = toBase64(key.publicPem)
  const fulcio = { caData: 'AAAA', oidcIssuer: 'https://x', subjectEmail: 'a@b' }
  for (const requirement of [
    { type: 'signedBy', keyType: 'GPGKeys', keyData: 'AAAA' },
    { type: 'signedBaseLayer', baseLayerIdentity: { type: 'matchRepository' } },
    { type: 'sigstoreSigned', fulcio, rekorPublicKeyData: 'AAAA' },
    { type: 'sigstoreSigned', pki: { caRootsData: 'AAAA', subjectEmail: 'a@b' } },
    { type: 'sigstoreSigned', keyData, rekorPublicKeyData: 'AAAA' },
  ]) {
    assert.equal(codeOf([good], requirement), 'IMAGE_POLICY_REQUIREMENT_UNSUPPORTED')
  }
})

test('a key named by path counts only if its file is supplied', () => {
  const requirement = { type: 'sigstoreSigned', keyPaths: ['/a.pub', '/b.pub'] }
  assert.equal(codeOf([good], requirement), 'IMAGE_POLICY_KEY_UNAVAILABLE')
  const policy = policyWith(requirement)
  assert.deepEqual(policyKeyPaths(policy, reference), ['/a.pub', '/b.pub'])
  const keyFiles = new Map([
    ['/a.pub', other.publicPem],
    ['/b.pub', key.publicPem],
  ])
  const input = { policy, reference, manifestDigest, signatures: [good] }
  assert.equal(evaluateImagePolicy({ ...input, keyFiles }).accepted, true)
  keyFiles.set('/b.pub', utf8('no key'))
  assert.equal(evaluateImagePolicy({ ...input, keyFiles }).accepted, false)
})

test('every accepted kind of key verifies, with the hash of the curve or SHA-256', () => {
  const payload = utf8('payload')
  const kinds: [KeyObject, KeyObject, (string | null)[]][] = []
  for (const [namedCurve, hash] of [
    ['P-256', 'sha256'],
    ['P-384', 'sha384'],
    ['P-521', 'sha512'],
  ] as const) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
    kinds.push([privateKey, publicKey, [hash, 'sha256']])
    const raw = new Uint8Array(sign(hash, payload, { key: privateKey, dsaEncoding: 'ieee-p1363' }))
    assert.equal(verifySignature(parseVerificationKey(pem(publicKey)), payload, raw), true)
  }
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  kinds.push([rsa.privateKey, rsa.publicKey, ['sha256']])
  const ed = generateKeyPairSync('ed25519')
  kinds.push([ed.privateKey, ed.publicKey, [null]])
  for (const [privateKey, publicKey, hashes] of kinds) {
    const parsed = parseVerificationKey(pem(publicKey))
    for (const hash of hashes) {
      const made = new Uint8Array(sign(hash, payload, privateKey))
      assert.equal(verifySignature(parsed, payload, made), true)
      assert.equal(verifySignature(parsed, utf8('other'), made), false)
      assert.equal(verifySignature(parsed, payload, made.subarray(1)), false)
    }
  }
})

test('parseVerificationKey() refuses private keys, weak keys, two keys and text around a key', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publicPem = fromUtf8(pem(ec.publicKey), 'pem')
  for (const text of [
    ec.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicPem + publicPem,
    `x${publicPem}`,
    publicPem.replace(/[A-Z]{4}/, '****'),
    '',
  ]) {
    assert.throws(() => parseVerificationKey(utf8(text)), { code: 'KEY_INVALID' })
  }
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
  assert.throws(() => parseVerificationKey(pem(weak)), { code: 'KEY_TYPE_UNSUPPORTED' })
  const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey
  assert.throws(() => parseVerificationKey(pem(k256)), { code: 'KEY_TYPE_UNSUPPORTED' })
})

test('what addSignature() writes is what readSignatures() and the policy accept', async () => {
  const payload = encodePayload(reference, manifestDigest, { team: 'a', by: 'b' })
  const first = addSignature(undefined, payload, other)
  const parsed = parseImageManifest(first.manifest, first.mediaType)
  const again = addSignature(parsed, payload, other)
  const once = parseImageManifest(again.manifest, again.mediaType)
  assert.equal(once.layers.length, 1, 'the same key signs the same payload once')
  const second = addSignature(once, encodePayload(reference, manifestDigest), key)
  const manifest = parseImageManifest(second.manifest, second.mediaType)
  assert.equal(manifest.layers.length, 2)
  assert.equal(digestOf(second.config), manifest.config.digest)
  const blobs = new Map([payload, second.payload].map((bytes) => [digestOf(bytes), bytes]))
  const signatures = await readSignatures(
    manifest,
    async ({ digest }) => blobs.get(digest) as Uint8Array,
  )
  const verdict = judge(signatures)
  assert.equal(verdict.accepted, true)
  assert.deepEqual(verdict.signers, [key.id])
})

test('readSignatures() keeps what cannot be fetched as a problem, and throws for a defect', async () => {
  const made = addSignature(undefined, encodePayload(reference, manifestDigest), key)
  const manifest = parseImageManifest(made.manifest, made.mediaType)
  const missing = await readSignatures(manifest, async () => {
    throw new CodedError('IMAGE_BLOB_GONE', 'fetching: gone')
  })
  assert.equal(codeOf(missing), 'IMAGE_BLOB_GONE')
  await assert.rejects(
    readSignatures(manifest, () => Promise.reject(new TypeError('defect'))),
    TypeError,
  )
  const [layer] = manifest.layers
  assert.ok(layer)
  const many = { ...manifest, layers: Array(65).fill(layer) }
  await assert.rejects(
    readSignatures(many, async () => made.payload),
    { code: 'SIGNATURE_LIMIT' },
  )
  const huge = { ...manifest, layers: [{ ...layer, size: 1 << 30 }] }
  const [unread] = await readSignatures(huge, () => assert.fail('fetched what is too large'))
  assert.equal(unread?.problem?.code, 'SIGNATURE_LIMIT')
  assert.notEqual(layer.annotations?.[SIGNATURE_ANNOTATION], undefined)
})

test('encodePayload() writes names as cosign does and refuses annotations verifiers refuse', () => {
  const hub = parseReference('busybox')
  const payload = parsePayload(encodePayload(hub, manifestDigest))
  assert.equal(payload.dockerReference, 'index.docker.io/library/busybox')
  assert.equal(
    fromUtf8(encodePayload(reference, manifestDigest), 'payload'),
    fromUtf8(payloadFor('registry.example/team/app'), 'payload'),
  )
  assert.throws(() => encodePayload(reference, manifestDigest, { timestamp: 'now' }), {
    code: 'SIGNATURE_PAYLOAD_INVALID',
  })
  assert.equal(signatureTag(manifestDigest), `sha256-${manifestDigest.slice(7)}.sig`)
})
