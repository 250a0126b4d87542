import assert from 'node:assert/strict'
import { createHash, createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { concat, fromBase64, fromHex, toBase64, toHex, utf8 } from '#lib/bytes'
import {
  decryptLayer,
  jweUnwrapper,
  layerCipher,
  OcicryptError,
  openLayer,
  parseDecryptionKey,
  parsePrivateOptions,
  parsePublicOptions,
  plainAnnotations,
  publicOptionsOf,
  unwrapLayer,
} from './index.ts'
import { encodePrivateOptions, encodePublicOptions, encryptLayer } from './wrap/index.ts'

const vector = (name: string) =>
  JSON.parse(
    readFileSync(new URL(`../../../test/vectors/ocicrypt/${name}`, import.meta.url), 'utf8'),
  )
const cipherVector = vector('cipher.json')
const layer = vector('skopeo-layer.json')
const layerKey = parseDecryptionKey(utf8(JSON.stringify(layer.privateJwk)))
const PUBOPTS = 'org.opencontainers.image.enc.pubopts'
const JWE = 'org.opencontainers.image.enc.keys.jwe'

async function* pieces(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return concat(...parts)
}

const vectorRandom = (size: number) =>
  size === 32 ? fromHex(cipherVector.key, 'key') : fromHex(cipherVector.nonce, 'nonce')

test('encryptLayer() gives the ciphertext and HMAC of the vector, whole and byte by byte', async () => {
  const plain = utf8(cipherVector.plaintext)
  const bytes = Array.from(plain, (byte) => Uint8Array.of(byte))
  for (const source of [pieces(plain), pieces(...bytes)]) {
    const encryption = encryptLayer(source, { random: vectorRandom })
    assert.equal(toHex(await drain(encryption.ciphertext)), cipherVector.ciphertext)
    assert.equal(toBase64(encryption.result().publicOptions.hmac), cipherVector.hmac)
  }
  const empty = encryptLayer(pieces(), { random: vectorRandom })
  assert.equal((await drain(empty.ciphertext)).length, 0)
  assert.equal(toBase64(empty.result().publicOptions.hmac), cipherVector.emptyHmac)
})

test('encryptLayer() refuses a second pass, which would use key and nonce twice', async () => {
  const encryption = encryptLayer(pieces(utf8('x')))
  assert.throws(() => encryption.result(), TypeError)
  await drain(encryption.ciphertext)
  assert.throws(() => encryption.ciphertext[Symbol.asyncIterator](), TypeError)
})

test('a layer encrypted by skopeo decrypts to its digest and diff_id', async () => {
  const opened = await openLayer(layer.annotations, [jweUnwrapper([layerKey])])
  assert.equal(opened.scheme, 'jwe')
  const blob = fromBase64(layer.blob, 'blob')
  const plain = await drain(decryptLayer(pieces(blob), opened.cipher, opened.digest))
  assert.equal(`sha256:${createHash('sha256').update(plain).digest('hex')}`, opened.digest)
  const tar = gunzipSync(plain)
  assert.equal(tar.length, layer.tarSize)
  assert.equal(`sha256:${createHash('sha256').update(tar).digest('hex')}`, layer.diffId)
})

test('options are written as Go writes them: the private ones of the vector are 193 bytes', async () => {
  const json = utf8(layer.privateOptions)
  const options = parsePrivateOptions(json)
  assert.equal(json.length, 193)
  const { symkey, digest = '', nonce = new Uint8Array() } = options
  assert.deepEqual(encodePrivateOptions({ symkey, digest, nonce }), json)
  const pub = fromBase64(layer.annotations[PUBOPTS], 'pubopts')
  assert.deepEqual(encodePublicOptions(parsePublicOptions(pub)), pub)
})

test('decryptLayer() refuses a flipped bit, a missing byte, an extra byte and a flipped HMAC', async () => {
  const { cipher } = await openLayer(layer.annotations, [jweUnwrapper([layerKey])])
  const blob = fromBase64(layer.blob, 'blob')
  const flipped = blob.slice()
  flipped[7] = (flipped[7] as number) ^ 1
  const hmac = cipher.hmac.slice()
  hmac[31] = (hmac[31] as number) ^ 1
  const cases: [Uint8Array, Uint8Array][] = [
    [flipped, cipher.hmac],
    [blob.subarray(0, -1), cipher.hmac],
    [concat(blob, Uint8Array.of(0)), cipher.hmac],
    [blob, hmac],
  ]
  for (const [bytes, mac] of cases) {
    await assert.rejects(drain(decryptLayer(pieces(bytes), { ...cipher, hmac: mac })), {
      code: 'LAYER_MAC_MISMATCH',
    })
  }
})

test('decryptLayer() refuses a blob whose digest is not the one noted at encryption', async () => {
  const { cipher } = await openLayer(layer.annotations, [jweUnwrapper([layerKey])])
  const other = `sha256:${'0'.repeat(64)}`
  await assert.rejects(drain(decryptLayer(pieces(fromBase64(layer.blob, 'blob')), cipher, other)), {
    code: 'LAYER_DIGEST_MISMATCH',
  })
})

test('any layer in any chunking survives encryption and decryption', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fc.nat(200_000),
      async (parts, pad) => {
        const all = [...parts, new Uint8Array(pad).fill(7)]
        const encryption = encryptLayer(pieces(...all))
        const ciphertext = await drain(encryption.ciphertext)
        const { publicOptions, privateOptions, size, digest } = encryption.result()
        const plain = concat(...all)
        assert.equal(size, plain.length)
        assert.equal(digest, `sha256:${createHash('sha256').update(ciphertext).digest('hex')}`)
        const cipher = layerCipher(
          parsePublicOptions(encodePublicOptions(publicOptions)),
          parsePrivateOptions(encodePrivateOptions(privateOptions)),
        )
        const split = Math.floor(ciphertext.length / 3)
        const back = decryptLayer(
          pieces(ciphertext.subarray(0, split), ciphertext.subarray(split)),
          cipher,
          privateOptions.digest,
        )
        assert.ok(Buffer.compare(await drain(back), plain) === 0)
      },
    ),
    { numRuns: 40 },
  )
})

test('layerCipher() refuses a nonce of 12 bytes, none, and a short hmac', () => {
  const symkey = new Uint8Array(32)
  const hmac = new Uint8Array(32)
  const nonce = new Uint8Array(16)
  const cipher = 'AES_256_CTR_HMAC_SHA256'
  assert.equal(layerCipher({ cipher, hmac }, { symkey, nonce }).nonce, nonce)
  const first = new Uint8Array(16).fill(1)
  assert.equal(layerCipher({ cipher, hmac, nonce: first }, { symkey, nonce }).nonce, first)
  const bad = { code: 'LAYER_OPTIONS_INVALID' }
  assert.throws(() => layerCipher({ cipher, hmac }, { symkey, nonce: new Uint8Array(12) }), bad)
  assert.throws(() => layerCipher({ cipher, hmac }, { symkey }), bad)
  assert.throws(() => layerCipher({ cipher, hmac: new Uint8Array(20) }, { symkey, nonce }), bad)
})

test('options of the wrong shape are refused and never quoted', () => {
  const secret = toBase64(new Uint8Array(16).fill(9))
  for (const text of [
    `{"symkey":"${secret}","cipheroptions":{}}`,
    `{"symkey":["${secret}"]}`,
    `{"symkey":"${secret}","symkey":"${secret}"}`,
    `${secret}`,
    '[]',
    `{"symkey":"${toBase64(new Uint8Array(32))}","digest":"md5:${secret}"}`,
  ]) {
    assert.throws(
      () => parsePrivateOptions(utf8(text)),
      (error) =>
        error instanceof OcicryptError &&
        error.code === 'LAYER_OPTIONS_INVALID' &&
        !error.message.includes(secret),
      text,
    )
  }
  assert.throws(() => parsePublicOptions(utf8('{"cipher":"AES_CBC","hmac":""}')), {
    code: 'LAYER_CIPHER_UNSUPPORTED',
  })
  assert.throws(() => publicOptionsOf({}), { code: 'LAYER_OPTIONS_INVALID' })
  assert.throws(() => publicOptionsOf({ [PUBOPTS]: '***' }), { code: 'LAYER_OPTIONS_INVALID' })
})

test('openLayer() asks for no key if the public options are missing', async () => {
  let asked = false
  const unwrapper = {
    scheme: 'jwe',
    unwrap: async () => {
      asked = true
      return new Uint8Array()
    },
  }
  const { [JWE]: keys } = layer.annotations
  await assert.rejects(openLayer({ [JWE]: keys }, [unwrapper]), { code: 'LAYER_OPTIONS_INVALID' })
  assert.equal(asked, false)
})

test('unwrapLayer() passes over an element that does not open and takes the next', async () => {
  const good = layer.annotations[JWE]
  const bad = toBase64(utf8('{"protected":"e30"}'))
  const found = await unwrapLayer({ [JWE]: `${bad},${good}` }, [jweUnwrapper([layerKey])])
  assert.equal(toBase64(found.privateOptions.symkey), JSON.parse(layer.privateOptions).symkey)
})

test('unwrapLayer() ends a scheme at an element that is not base64', async () => {
  const unwrapped = unwrapLayer({ [JWE]: `***,${layer.annotations[JWE]}` }, [
    jweUnwrapper([layerKey]),
  ])
  await assert.rejects(unwrapped, (error) => {
    assert.ok(error instanceof OcicryptError)
    assert.equal(error.code, 'LAYER_KEY_UNAVAILABLE')
    const reasons = (error.details as { reasons: { code: string }[] }).reasons
    assert.deepEqual(
      reasons.map(({ code }) => code),
      ['WRAP_LIST_INVALID'],
    )
    return true
  })
})

test('unwrapLayer() tries at most 100 keys of a scheme, and none of an oversized list', async () => {
  let asked = 0
  const unwrapper = {
    scheme: 'jwe',
    unwrap: async () => {
      asked += 1
      throw new OcicryptError('JWE_NOT_FOR_KEY', 'opening: no')
    },
  }
  const many = Array(150).fill('AAAA').join(',')
  await assert.rejects(unwrapLayer({ [JWE]: many }, [unwrapper]), /WRAP_LIST_INVALID/)
  assert.equal(asked, 100)
  const long = 'A'.repeat(512 * 1024 + 4)
  await assert.rejects(unwrapLayer({ [JWE]: long }, [unwrapper]), /WRAP_LIST_INVALID/)
  assert.equal(asked, 100)
})

test('unwrapLayer() lists every reason, unknown schemes and exact provider names among them', async () => {
  const prefix = 'org.opencontainers.image.enc.keys.'
  const annotations = {
    [JWE]: toBase64(utf8('x')),
    [`${prefix}pkcs7`]: 'AAAA',
    [`${prefix}provider.attestation-agent-2`]: 'AAAA',
  }
  const packet = { scheme: 'provider.attestation-agent', unwrap: async () => new Uint8Array() }
  await assert.rejects(unwrapLayer(annotations, [jweUnwrapper([layerKey]), packet]), (error) => {
    assert.ok(error instanceof OcicryptError)
    assert.equal(error.code, 'LAYER_KEY_UNAVAILABLE')
    assert.match(error.message, /jwe\[0\].*JWE_INVALID/)
    assert.match(error.message, /pkcs7: .*not supported/)
    assert.match(error.message, /provider.attestation-agent-2: .*not supported/)
    return true
  })
  await assert.rejects(unwrapLayer({}, []), /carries no wrapped keys/)
})

test('unwrapLayer() stops when called off, and a defect is not taken for a wrong key', async () => {
  const reason = new Error('stop')
  const signal = AbortSignal.abort(reason)
  await assert.rejects(unwrapLayer(layer.annotations, [jweUnwrapper([layerKey])], { signal }), {
    message: 'stop',
  })
  const broken = { scheme: 'jwe', unwrap: () => Promise.reject(new TypeError('defect')) }
  await assert.rejects(unwrapLayer(layer.annotations, [broken]), TypeError)
})

test('plainAnnotations() drops what belongs to encryption and keeps the rest', () => {
  assert.deepEqual(
    plainAnnotations({ ...layer.annotations, 'org.opencontainers.image.encoder': 'x', a: 'b' }),
    { 'org.opencontainers.image.encoder': 'x', a: 'b' },
  )
})

test('parseDecryptionKey() reads every private form and refuses public halves and weak keys', async () => {
  const { generateKeyPairSync } = await import('node:crypto')
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const forms = [
    privateKey.export({ format: 'pem', type: 'pkcs8' }),
    privateKey.export({ format: 'pem', type: 'sec1' }),
    privateKey.export({ format: 'der', type: 'pkcs8' }),
    JSON.stringify(privateKey.export({ format: 'jwk' })),
  ]
  const ids = forms.map((form) =>
    parseDecryptionKey(typeof form === 'string' ? utf8(form) : new Uint8Array(form)),
  )
  assert.equal(new Set(ids.map(({ id }) => id)).size, 1)
  const locked = utf8(
    privateKey
      .export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'secret' })
      .toString(),
  )
  assert.equal(parseDecryptionKey(locked, 'secret').id, ids[0]?.id)
  assert.throws(() => parseDecryptionKey(locked), { code: 'KEY_PASSPHRASE' })
  assert.throws(() => parseDecryptionKey(locked, 'wrong'), { code: 'KEY_PASSPHRASE' })
  const pub = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const pubJwk = JSON.stringify(publicKey.export({ format: 'jwk' }))
  for (const text of [pub, pubJwk, 'hello', '{', '']) {
    assert.throws(() => parseDecryptionKey(utf8(text)), { code: 'KEY_INVALID' })
  }
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey
  const ed = generateKeyPairSync('ed25519').privateKey
  for (const key of [weak, k256, ed]) {
    const pem = utf8(key.export({ format: 'pem', type: 'pkcs8' }).toString())
    assert.throws(() => parseDecryptionKey(pem), { code: 'KEY_TYPE_UNSUPPORTED' })
  }
  assert.ok(createPrivateKey({ key: layer.privateJwk, format: 'jwk' }))
})

test('unwrapLayer() leaves nothing of the unwrapped options in the bytes that held them', async () => {
  const symkey = toBase64(new Uint8Array(32).fill(7))
  const texts = [utf8('{"symkey":"no"}'), utf8(JSON.stringify({ symkey }))]
  const given = [...texts]
  const unwrapper = { scheme: 'jwe', unwrap: async () => given.shift() ?? utf8('') }
  const found = await unwrapLayer({ [JWE]: `${toBase64(utf8('a'))},${toBase64(utf8('b'))}` }, [
    unwrapper,
  ])
  assert.deepEqual(found.privateOptions.symkey, new Uint8Array(32).fill(7))
  for (const text of texts) assert.ok(text.every((byte) => byte === 0))
})
