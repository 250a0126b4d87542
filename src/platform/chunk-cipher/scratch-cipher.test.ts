import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createScratchCipher, type ScratchCipherFactory } from '#lib/scratch'
import { createOpensslScratchCipher } from './index.ts'

const key = new Uint8Array(randomBytes(32))
const fillings: [string, ScratchCipherFactory][] = [
  ['openssl', createOpensslScratchCipher],
  ['reference', createScratchCipher],
]

for (const [name, create] of fillings) {
  test(`${name}: opens what either of the two sealed, and both seal the same bytes`, () => {
    const [ours, reference] = [create(key), createScratchCipher(key)]
    for (const index of [0, 1, 7, 2 ** 26, 2 ** 32 + 5]) {
      for (const length of [1, 15, 16, 4095, 4096]) {
        const plain = new Uint8Array(randomBytes(length))
        const nonce = new Uint8Array(randomBytes(12))
        const [a, b] = [plain.slice(), plain.slice()]
        const [tagA, tagB] = [new Uint8Array(16), new Uint8Array(new SharedArrayBuffer(16))]
        ours.seal(index, a, nonce, tagA)
        reference.seal(index, b, nonce, tagB)
        assert.deepEqual([Buffer.from(a), Buffer.from(tagA)], [Buffer.from(b), Buffer.from(tagB)])
        assert.ok(length < 16 || !Buffer.from(a).equals(plain))
        assert.equal(ours.open(index, b, nonce, tagB), true)
        assert.deepEqual(b, plain)
      }
    }
  })

  test(`${name}: refuses another index, nonce, tag or byte, and leaves no plaintext`, () => {
    const cipher = create(key)
    const cases: [string, (c: Uint8Array, n: Uint8Array, t: Uint8Array) => boolean][] = [
      ['index', (chunk, nonce, tag) => cipher.open(4, chunk, nonce, tag)],
      ['nonce', (chunk, nonce, tag) => cipher.open(3, chunk, nonce.fill(9), tag)],
      ['tag', (chunk, nonce, tag) => cipher.open(3, chunk, nonce, tag.fill(9))],
      ['byte', (chunk, nonce, tag) => cipher.open(3, chunk.fill(9, 100, 101), nonce, tag)],
      ['key', (chunk, nonce, tag) => create(new Uint8Array(32)).open(3, chunk, nonce, tag)],
    ]
    for (const [what, attempt] of cases) {
      const chunk = new Uint8Array(4096).fill(1)
      const [nonce, tag] = [new Uint8Array(12).fill(5), new Uint8Array(16)]
      cipher.seal(3, chunk, nonce, tag)
      assert.equal(attempt(chunk, nonce, tag), false, what)
      assert.ok(
        chunk.every((byte) => byte === 0),
        what,
      )
    }
  })

  test(`${name}: a closed cipher throws instead of using what is gone`, () => {
    const cipher = create(key)
    cipher.close()
    cipher.close()
    const [chunk, nonce, tag] = [new Uint8Array(16), new Uint8Array(12), new Uint8Array(16)]
    assert.throws(() => cipher.seal(0, chunk, nonce, tag), TypeError)
    assert.throws(() => cipher.open(0, chunk, nonce, tag), TypeError)
    assert.throws(() => create(key.subarray(1)), RangeError)
  })
}

test('openssl: refuses nonces and tags of another length before OpenSSL reads past them', () => {
  const cipher = createOpensslScratchCipher(key)
  const chunk = new Uint8Array(16)
  assert.throws(() => cipher.seal(0, chunk, new Uint8Array(11), new Uint8Array(16)), RangeError)
  assert.throws(() => cipher.open(0, chunk, new Uint8Array(12), new Uint8Array(15)), RangeError)
})
