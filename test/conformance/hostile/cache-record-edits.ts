import { linkSync } from 'node:fs'
import { type CacheEdit, chance, NO_FILES, noise, scrambled } from './cache-edit.ts'
import type { CacheHost } from './cache-host.ts'
import { SCALE } from './setting.ts'

/** Where the fields of a record lie: offset and length (docs/formats/cache-record.md). */
const FIELDS: Readonly<Record<string, readonly [number, number]>> = {
  magic: [0, 8],
  fileId: [8, 16],
  nonce: [24, 12],
  K: [36, 32],
  root: [68, 32],
  'length of H': [100, 4],
  H: [104, 72],
  flags: [176, 1],
  tag: [177, 16],
}
const RECORD = 193
/** Bits of each byte that are flipped, one after the other. */
const BITS = Math.min(8, SCALE)
/** What the reader without checks does not look at, or what leads it to no file. */
const UNSEEN = ['magic', 'fileId', 'root', 'length of H', 'tag']
/** What two records differ in. The flags of two records of one layer are two ciphertexts of one byte. */
const DIFFERING = ['fileId', 'nonce', 'K', 'root', 'H', 'tag']

type Twin = CacheEdit['twin']

const flips = Object.entries(FIELDS).map(([field, [offset, length]]) =>
  edit(
    `each byte of its ${field} flipped`,
    UNSEEN.includes(field) ? 'harmless' : 'lies',
    (host, turn) => {
      const at = offset + (turn % length)
      host.flip(host.first.record, at, (at + Math.floor(turn / length)) % 8)
    },
    length * BITS,
  ),
)

// Of a single byte that is a ciphertext nobody knows whether it is zero.
const zeroed = Object.values(FIELDS).filter(([, length]) => length > 1)

/** A field of one record within another: every field in turn. */
function graft(source: 'older' | 'second', whose: string): CacheEdit {
  return edit(
    `one field of ${whose}, each`,
    'lies',
    (host, turn) => {
      const [offset, length] = FIELDS[DIFFERING[turn] ?? ''] ?? [0, 0]
      const bytes = host[source].recordBytes.subarray(offset, offset + length)
      host.write(host.first.record, offset, bytes)
    },
    DIFFERING.length,
  )
}

/** Attacks on the record of a layer, whose data stays as it was: each of them a miss. */
export const RECORD_EDITS: readonly CacheEdit[] = [
  ...flips,
  edit(
    'one field zeroed, each',
    'lies',
    (host, turn) => {
      const [offset, length] = zeroed[turn] ?? [0, 0]
      host.write(host.first.record, offset, new Uint8Array(length))
    },
    zeroed.length,
  ),
  graft('second', 'the record of another layer'),
  graft('older', 'an older record of this layer'),
  edit('that of another layer', 'lies', (host) =>
    host.put(host.first.record, host.second.recordBytes),
  ),
  edit('that of another layer, as another file', 'lies', (host) =>
    host.exchange(host.first.record, host.second.recordBytes),
  ),
  edit('that of another layer, as a hard link', 'lies', (host) =>
    host.replace(host.first.record, (path) => linkSync(host.path(host.second.record), path)),
  ),
  edit('that of a plain layer', 'lies', (host) =>
    host.put(host.first.record, host.plain.recordBytes),
  ),
  edit(
    'some random bytes in it',
    'lies',
    (host, turn) => {
      const length = 1 + (turn % 32)
      const at = chance(RECORD - length)
      const { record, recordBytes } = host.first
      host.write(record, at, scrambled(recordBytes.subarray(at, at + length)))
    },
    60 * SCALE,
  ),
  edit(
    'random bytes instead, after its magic',
    'harmless',
    (host) => host.write(host.first.record, 8, noise(RECORD - 8)),
    10 * SCALE,
  ),
  edit('zeros instead', 'harmless', (host) => host.put(host.first.record, new Uint8Array(RECORD))),
  edit(
    'cut, to each length',
    'harmless',
    (host, turn) => host.resize(host.first.record, turn),
    RECORD,
  ),
  edit(
    'longer',
    'harmless',
    (host, turn) => host.resize(host.first.record, [RECORD + 1, 2 * RECORD, 2 ** 40][turn] ?? 0),
    3,
  ),
  edit('followed by itself', 'harmless', (host) =>
    host.write(host.first.record, RECORD, host.first.recordBytes),
  ),
  ...Object.entries(NO_FILES).map(([name, make]) =>
    edit(name, 'harmless', (host) =>
      host.replace(host.first.record, (path) => make(path, host.first.recordBytes)),
    ),
  ),
]

function edit(name: string, twin: Twin, make: CacheEdit['edit'], turns = 1): CacheEdit {
  const changes = ({ first }: CacheHost): readonly string[] => [first.record]
  return { name: `its record: ${name}`, turns, edit: make, changes, outcome: 'miss', twin }
}
