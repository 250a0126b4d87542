import type { CacheHost } from './cache-host.ts'

/** What a host does in the middle of a lookup. */
export interface CacheRace {
  readonly name: string
  /** Whether a reader that checks nothing gets other bytes from it, at some step. */
  readonly twin: 'lies' | 'harmless'
  /**
   * What comes of it, at one step or another, where it is not the layer: the agent misses, init that opens the file
   * after the agent refuses it, or a chunk is not genuine when it is read.
   */
  readonly codes: readonly ('miss' | 'SEALED_MISMATCH' | 'EIO')[]
  readonly edit: (host: CacheHost) => void
}

const MISS = ['miss'] as const
/** The file itself stays what it was for who has it open. */
const UNTIL_OPENED = ['miss', 'SEALED_MISMATCH'] as const
const ANY = ['miss', 'SEALED_MISMATCH', 'EIO'] as const

/** Each is made before each step of a lookup, and again for that one step only. */
export const RACES: readonly CacheRace[] = [
  {
    name: 'record exchanged for that of another layer',
    twin: 'lies',
    codes: MISS,
    edit: (host) => host.exchange(host.first.record, host.second.recordBytes),
  },
  {
    name: 'record overwritten with that of another layer',
    twin: 'lies',
    codes: MISS,
    edit: (host) => host.put(host.first.record, host.second.recordBytes),
  },
  {
    name: 'record exchanged for an older one',
    twin: 'harmless',
    codes: [],
    edit: (host) => host.exchange(host.first.record, host.older.recordBytes),
  },
  {
    name: 'record exchanged for an older one, its data overwritten with newer',
    twin: 'lies',
    codes: MISS,
    edit: (host) => {
      host.exchange(host.first.record, host.older.recordBytes)
      host.put(host.older.data, host.first.dataBytes)
    },
  },
  {
    name: 'a key in the record flipped',
    twin: 'lies',
    codes: MISS,
    edit: (host) => host.flip(host.first.record, 50, 1),
  },
  {
    name: 'record zeroed',
    twin: 'harmless',
    codes: MISS,
    edit: (host) => host.write(host.first.record, 0, new Uint8Array(193)),
  },
  {
    name: 'record cut',
    twin: 'harmless',
    codes: MISS,
    edit: (host) => host.resize(host.first.record, 100),
  },
  {
    name: 'record removed',
    twin: 'harmless',
    codes: MISS,
    edit: (host) => host.replace(host.first.record),
  },
  {
    name: 'data exchanged for that of another layer',
    twin: 'lies',
    codes: UNTIL_OPENED,
    edit: (host) => host.exchange(host.first.data, host.second.dataBytes),
  },
  {
    name: 'data overwritten with that of another layer',
    twin: 'lies',
    codes: ANY,
    edit: (host) => host.put(host.first.data, host.second.dataBytes),
  },
  {
    name: 'data exchanged for older data of the layer',
    twin: 'lies',
    codes: UNTIL_OPENED,
    edit: (host) => host.exchange(host.first.data, host.older.dataBytes),
  },
  {
    name: 'data overwritten with older data of the layer',
    twin: 'lies',
    codes: ANY,
    edit: (host) => host.put(host.first.data, host.older.dataBytes),
  },
  {
    name: 'chunks overwritten with those of another layer',
    twin: 'lies',
    codes: ['EIO'],
    edit: (host) => host.write(host.first.data, 4096, host.second.dataBytes.subarray(4096, 90_000)),
  },
  {
    name: 'data cut, then as long as before',
    twin: 'lies',
    codes: ANY,
    edit: (host) => {
      host.resize(host.first.data, 50_000)
      host.resize(host.first.data, host.first.dataBytes.length)
    },
  },
  {
    name: 'data cut',
    twin: 'lies',
    codes: ANY,
    edit: (host) => host.resize(host.first.data, 50_000),
  },
  {
    name: 'a byte appended to the data',
    twin: 'harmless',
    codes: UNTIL_OPENED,
    edit: (host) => host.resize(host.first.data, host.first.dataBytes.length + 1),
  },
  {
    name: 'header overwritten with that of older data',
    twin: 'harmless',
    codes: UNTIL_OPENED,
    edit: (host) => host.write(host.first.data, 0, host.older.dataBytes.subarray(0, 4096)),
  },
  {
    name: 'a tag flipped',
    twin: 'harmless',
    codes: UNTIL_OPENED,
    edit: (host) => host.flip(host.first.data, host.first.dataBytes.length - 3, 1),
  },
  {
    name: 'data removed',
    twin: 'harmless',
    codes: UNTIL_OPENED,
    edit: (host) => host.replace(host.first.data),
  },
  {
    name: 'record and data exchanged for those of another layer',
    twin: 'lies',
    codes: UNTIL_OPENED,
    edit: (host) => {
      host.exchange(host.first.data, host.second.dataBytes)
      host.exchange(host.first.record, host.second.recordBytes)
    },
  },
]
