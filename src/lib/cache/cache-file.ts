import { fromHex } from '#lib/bytes'

const RECORD = /^([0-9a-f]{64})\.record$/
const DATA = /^([0-9a-f]{32})\.sealed$/
const UNFINISHED = /^new-[0-9a-f]{32}$/

/** What a file of the cache directory is, by its name; undefined for what is none of ours. */
export type CacheFileKind =
  | { readonly kind: 'record'; readonly name: string }
  | { readonly kind: 'data'; readonly fileId: Uint8Array }
  | { readonly kind: 'unfinished' }

/** Reads a file name of docs/formats/cache-record.md. */
export function cacheFileKind(file: string): CacheFileKind | undefined {
  const record = RECORD.exec(file)?.[1]
  if (record !== undefined) return { kind: 'record', name: record }
  const data = DATA.exec(file)?.[1]
  if (data !== undefined) return { kind: 'data', fileId: fromHex(data, 'fileId', 16) }
  return UNFINISHED.test(file) ? { kind: 'unfinished' } : undefined
}

/** File of the record with a name from `recordKeys`. */
export function recordFile(name: string): string {
  return `${name}.record`
}
