import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, fromUtf8, toBase64, utf8 } from '#lib/bytes'
import {
  describeRecipients,
  OcicryptError,
  openLayer,
  openPacket,
  packetUnwrapper,
  parsePacket,
  parsePrivateOptions,
} from './index.ts'
import { encryptLayer, wrapLayer, wrapPacket } from './wrap/index.ts'

const read = (name: string) =>
  JSON.parse(
    readFileSync(new URL(`../../../test/vectors/ocicrypt/${name}`, import.meta.url), 'utf8'),
  )
const packets = read('packets.json')
const layer = read('skopeo-layer.json')
const sample = fromHex(packets.kek, 'kek')
const kek = new Uint8Array(32).fill(5)
const allowSampleKek = true

test('the packets of the vectors open, GCM and CTR', () => {
  for (const text of [packets.gcm, packets.ctr]) {
    const packet = parsePacket(utf8(text))
    assert.equal(packet.kid, 'kbs:///default/test-key/1')
    const plain = openPacket(packet, sample, { allowSampleKek })
    assert.equal(fromUtf8(plain, 'options'), layer.privateOptions)
  }
  const plain = openPacket(parsePacket(utf8(packets.upstream)), sample, { allowSampleKek })
  const options = parsePrivateOptions(plain)
  assert.deepEqual(
    {
      symkey: toBase64(options.symkey),
      digest: options.digest,
      nonce: toBase64(options.nonce as Uint8Array),
    },
    packets.upstreamOptions,
  )
})

test('wrapPacket() gives the GCM packet of the vector for its iv', () => {
  const bytes = wrapPacket(utf8(layer.privateOptions), 'kbs:///default/test-key/1', sample, {
    allowSampleKek,
    random: (size) => new Uint8Array(size),
  })
  assert.equal(fromUtf8(bytes, 'packet'), packets.gcm)
})

test('the sample key is refused outside the test mode, for writing and for reading', () => {
  const refused = { code: 'KEK_SAMPLE_REFUSED' }
  assert.throws(() => openPacket(parsePacket(utf8(packets.gcm)), sample), refused)
  assert.throws(() => openPacket(parsePacket(utf8(packets.ctr)), sample), refused)
  assert.throws(() => wrapPacket(utf8('x'), 'kbs:///a/b/c', sample), refused)
})

test('a key-encryption key of another length is refused: hexadecimal, or with a newline', () => {
  const packet = parsePacket(utf8(packets.gcm))
  for (const length of [0, 16, 31, 33, 64]) {
    assert.throws(() => openPacket(packet, new Uint8Array(length)), { code: 'KEK_INVALID' })
  }
})

test('a wrong key is told apart from a broken packet, with CTR too', () => {
  for (const text of [packets.gcm, packets.ctr]) {
    assert.throws(() => openPacket(parsePacket(utf8(text)), kek), { code: 'PACKET_NOT_FOR_KEY' })
  }
})

test('v2 packets with provider kbs read as v1, others are refused by name', () => {
  const v1 = JSON.parse(packets.gcm)
  const v2 = { version: '0.1.0', provider: 'KBS', provider_settings: {}, annotations: {}, ...v1 }
  assert.deepEqual(parsePacket(utf8(JSON.stringify(v2))), parsePacket(utf8(packets.gcm)))
  for (const change of [{ provider: 'aliyun' }, { version: '0.2.0' }, { wrap_type: 'aes-gcm' }]) {
    assert.throws(() => parsePacket(utf8(JSON.stringify({ ...v2, ...change }))), {
      code: 'PACKET_UNSUPPORTED',
    })
  }
})

test('packets with arrays of numbers are named as written before 2023', () => {
  const legacy = { kid: 'null', wrapped_data: [1, 2], iv: [3], wrap_type: 'aes-gcm' }
  assert.throws(
    () => parsePacket(utf8(JSON.stringify(legacy))),
    (error) => {
      assert.ok(error instanceof OcicryptError)
      assert.equal(error.code, 'PACKET_LEGACY')
      assert.match(error.message, /before 2023/)
      return true
    },
  )
})

test('packets with a bad iv, kid or missing member are refused', () => {
  const v1 = JSON.parse(packets.gcm)
  const refused = (change: object, code: string) =>
    assert.throws(() => parsePacket(utf8(JSON.stringify({ ...v1, ...change }))), { code })
  refused({ iv: toBase64(new Uint8Array(16)) }, 'PACKET_INVALID')
  refused({ wrap_type: 'A256CTR' }, 'PACKET_INVALID')
  refused({ iv: undefined }, 'PACKET_INVALID')
  refused({ kid: undefined }, 'PACKET_INVALID')
  refused({ wrap_type: undefined }, 'PACKET_INVALID')
  refused({ wrapped_data: 'AAAA' }, 'PACKET_INVALID')
  refused({ kid: '/default/image-kek/1' }, 'RESOURCE_URI_INVALID')
  refused({ kid: 'kbs:///default/../1' }, 'RESOURCE_URI_INVALID')
  assert.throws(() => parsePacket(utf8(`{"kid":"a","kid":"b"}`)), { code: 'PACKET_INVALID' })
})

test('the host of a kid is dropped before the key is asked for', async () => {
  const v1 = { ...JSON.parse(packets.gcm), kid: 'kbs://evil.example/default/test-key/1' }
  const asked: string[] = []
  const unwrapper = packetUnwrapper(
    async (kid) => {
      asked.push(kid)
      return sample
    },
    { allowSampleKek },
  )
  await unwrapper.unwrap(utf8(JSON.stringify(v1)), {})
  assert.deepEqual(asked, ['kbs:///default/test-key/1'])
})

test('a packet changed in any byte of its wrapped data does not open', () => {
  const bytes = wrapPacket(utf8(layer.privateOptions), 'kbs:///a/b/c', kek)
  const packet = parsePacket(bytes)
  fc.assert(
    fc.property(
      fc.nat({ max: packet.wrappedData.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      (at, bits) => {
        const wrappedData = packet.wrappedData.slice()
        wrappedData[at] = (wrappedData[at] as number) ^ bits
        assert.throws(() => openPacket({ ...packet, wrappedData }, kek), {
          code: 'PACKET_NOT_FOR_KEY',
        })
      },
    ),
  )
})

test('wrapLayer() writes one packet a key, and each key opens the layer', async () => {
  const encryption = encryptLayer(
    (async function* () {
      yield utf8('layer')
    })(),
  )
  for await (const _ of encryption.ciphertext);
  const { publicOptions, privateOptions } = encryption.result()
  const other = new Uint8Array(32).fill(6)
  const annotations = await wrapLayer(
    { keep: 'me', 'org.opencontainers.image.enc.keys.jwe': 'stale' },
    { public: publicOptions, private: privateOptions },
    {
      jwe: [],
      packets: [
        { kid: 'kbs:///a/b/1', kek },
        { kid: 'kbs:///a/b/2', kek: other },
      ],
    },
  )
  assert.equal(annotations.keep, 'me')
  assert.equal(annotations['org.opencontainers.image.enc.keys.jwe'], undefined)
  assert.deepEqual(
    describeRecipients(annotations).map(({ id }) => id),
    ['kbs:///a/b/1', 'kbs:///a/b/2'],
  )
  for (const key of [kek, other]) {
    const opened = await openLayer(annotations, [packetUnwrapper(async () => key)])
    assert.deepEqual(opened.cipher.key, privateOptions.symkey)
    assert.equal(opened.digest, privateOptions.digest)
  }
  await assert.rejects(
    wrapLayer({}, { public: publicOptions, private: privateOptions }, { jwe: [], packets: [] }),
    TypeError,
  )
})

test('the annotations of another layer open, but do not decrypt this one', async () => {
  // The host may swap whole sets of annotations: only HMAC, diff_id and the signature notice.
  const make = async (text: string) => {
    const encryption = encryptLayer(
      (async function* () {
        yield utf8(text)
      })(),
    )
    const parts: Uint8Array[] = []
    for await (const part of encryption.ciphertext) parts.push(part)
    const { publicOptions, privateOptions } = encryption.result()
    const annotations = await wrapLayer(
      {},
      { public: publicOptions, private: privateOptions },
      { jwe: [], packets: [{ kid: 'kbs:///a/b/1', kek }] },
    )
    return { annotations, parts }
  }
  const [one, two] = [await make('one'), await make('two')]
  const { decryptLayer } = await import('./index.ts')
  const opened = await openLayer(two.annotations, [packetUnwrapper(async () => kek)])
  const stream = decryptLayer(
    (async function* () {
      yield* one.parts
    })(),
    opened.cipher,
  )
  await assert.rejects(
    async () => {
      for await (const _ of stream);
    },
    { code: 'LAYER_MAC_MISMATCH' },
  )
})
