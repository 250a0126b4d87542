import assert from 'node:assert/strict'
import { createCipheriv, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { type ChunkOpenerFactory, createChunkOpener } from '#lib/sealed'
import { createOpensslOpener } from './index.ts'

const key = new Uint8Array(randomBytes(32))
const fileId = new Uint8Array(randomBytes(16))

function seal(index: number, plain: Uint8Array): { chunk: Uint8Array; tag: Uint8Array } {
  const nonce = new Uint8Array(12)
  new DataView(nonce.buffer).setBigUint64(4, BigInt(index))
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(fileId)
  const chunk = new Uint8Array(Buffer.concat([cipher.update(plain), cipher.final()]))
  return { chunk, tag: new Uint8Array(cipher.getAuthTag()) }
}

function flip(chunk: Uint8Array): Uint8Array {
  chunk[99] = (chunk[99] ?? 0) ^ 1
  return chunk
}

const fillings: [string, ChunkOpenerFactory][] = [
  ['openssl', createOpensslOpener],
  ['reference', createChunkOpener],
]

for (const [name, create] of fillings) {
  test(`${name}: opens what was sealed, in any order and length`, () => {
    const opener = create(key, fileId)
    for (const index of [7, 0, 2 ** 32 + 5, 1, 7]) {
      for (const length of [0, 1, 15, 16, 17, 4096, 16384]) {
        const plain = new Uint8Array(randomBytes(length))
        const { chunk, tag } = seal(index, plain)
        assert.equal(opener.openInPlace(index, chunk, tag), true)
        assert.deepEqual(chunk, plain)
      }
    }
  })

  test(`${name}: refuses a flipped bit, another index, another file, a wrong tag`, () => {
    const plain = new Uint8Array(randomBytes(4096))
    const opener = create(key, fileId)
    const other = create(key, new Uint8Array(16))
    const cases: [string, (chunk: Uint8Array, tag: Uint8Array) => boolean][] = [
      ['bit', (chunk, tag) => opener.openInPlace(3, flip(chunk), tag)],
      ['index', (chunk, tag) => opener.openInPlace(4, chunk, tag)],
      ['file', (chunk, tag) => other.openInPlace(3, chunk, tag)],
      [
        'tag',
        (chunk, tag) =>
          opener.openInPlace(
            3,
            chunk,
            tag.map((b) => b ^ 128),
          ),
      ],
    ]
    for (const [what, attempt] of cases) {
      const { chunk, tag } = seal(3, plain)
      assert.equal(attempt(chunk, tag), false, what)
      // Neither the plaintext nor a decryption of what was never authenticated may stay.
      if (name === 'openssl')
        assert.ok(
          chunk.every((b) => b === 0),
          what,
        )
    }
    // A failure leaves the context usable: the next good chunk opens.
    const good = seal(3, plain)
    assert.equal(opener.openInPlace(3, good.chunk, good.tag), true)
  })
}

test('openssl: refuses keys and ids of another length', () => {
  assert.throws(() => createOpensslOpener(key.subarray(1), fileId), RangeError)
  assert.throws(() => createOpensslOpener(key, fileId.subarray(1)), RangeError)
})

test('openssl: a closed opener throws instead of using freed memory', () => {
  const opener = createOpensslOpener(key, fileId)
  opener.close()
  opener.close()
  assert.throws(() => opener.openInPlace(0, new Uint8Array(16), new Uint8Array(16)), TypeError)
})
