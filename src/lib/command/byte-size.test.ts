import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatByteSize, parseByteSize } from './index.ts'

test('a size is a number of bytes, K, M, G or T; anything else is none', () => {
  const sizes: Record<string, number | undefined> = {
    '0': 0,
    '500': 500,
    '1k': 1024,
    '500M': 500 * 2 ** 20,
    '2G': 2 * 2 ** 30,
    '8191T': 8191 * 2 ** 40,
    '8192T': undefined,
    '999999999999999T': undefined,
    '': undefined,
    '-1': undefined,
    '1.5G': undefined,
    '1GB': undefined,
    ' 1': undefined,
    '1e3': undefined,
  }
  for (const [text, size] of Object.entries(sizes)) assert.equal(parseByteSize(text), size, text)
})

test('sizes for people', () => {
  const shown = [0, 193, 1024, 1536, 20 * 2 ** 20, 3.25 * 2 ** 30, 2 ** 53].map(formatByteSize)
  assert.deepEqual(shown, ['0 B', '193 B', '1.0 KiB', '1.5 KiB', '20 MiB', '3.3 GiB', '8192 TiB'])
})
