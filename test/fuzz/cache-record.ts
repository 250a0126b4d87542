import { readFileSync } from 'node:fs'
import { equalBytes, fromHex } from '#lib/bytes'
import { type CacheEntry, openRecord, sealRecord } from '#lib/cache'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/**
 * A record of test/vectors/cache-record, opened with the keys of both: a typed error, or an entry that
 * gives the same bytes again.
 */
export const target: FuzzTarget = { format: 'cache-record', run: fuzzCacheRecord }

interface Vector {
  readonly wrappingKey: string
  readonly layerId: string
}

const path = new URL('../vectors/cache-record/records.json', import.meta.url)
const { records } = JSON.parse(readFileSync(path, 'utf8')) as {
  readonly records: readonly Vector[]
}
const vectors = records.map(({ wrappingKey, layerId }) => ({
  keys: { wrappingKey: fromHex(wrappingKey, 'key') },
  id: fromHex(layerId, 'id'),
}))

function fuzzCacheRecord(data: Uint8Array): void {
  let failure: unknown
  for (const { keys, id } of vectors) {
    let entry: CacheEntry
    try {
      entry = openRecord(keys, id, data)
    } catch (error) {
      failure = error
      continue
    }
    const again = sealRecord(keys, id, entry, (nonce) => nonce.set(data.subarray(24, 36)))
    if (!equalBytes(again, data)) throw new TypeError('a record opened that we would not write')
    return
  }
  throw failure
}
