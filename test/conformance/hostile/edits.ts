import { CHUNK_SIZE } from '#lib/sealed'
import type { Victim } from './victim.ts'

/** What must come of a case: no error, errors for some of the paths, for any number, or no mount. */
export type Outcome = 'right' | 'some' | 'any' | RegExp

/** An edit of the base layer; `older` is the same layer of another content. */
export type Edit = (victim: Victim, older: Victim) => void

// On a data chunk in the middle of the image, and on one far from it.
const some = ({ layout }: Victim): number => Math.floor(layout.firstMetadata / 2)
const another = ({ layout }: Victim): number => Math.floor(layout.firstMetadata / 5)
const metadata = ({ layout }: Victim): number =>
  Math.floor((layout.firstMetadata + layout.chunks) / 2)
// Not in the zeros after the end of a file, where a flip concerns nobody.
const middle = (victim: Victim, chunk: number): number => victim.at(chunk) + victim.filled(chunk)

/** Edits of chunks: they can be made to the plain twin too. */
export const CHUNK_EDITS: readonly (readonly [string, Edit, Outcome])[] = [
  ['a bit of a data chunk flipped', (v) => v.flip(middle(v, some(v))), 'some'],
  ['a bit in the middle of the metadata flipped', (v) => v.flip(middle(v, metadata(v))), 'some'],
  ['a data chunk zeroed', (v) => v.put(some(v), new Uint8Array(CHUNK_SIZE)), 'some'],
  [
    'two data chunks exchanged',
    (v) => {
      v.put(some(v), v.chunk(another(v)))
      v.put(another(v), v.chunk(some(v)))
    },
    'some',
  ],
  ['a data chunk copied over another', (v) => v.put(some(v), v.chunk(another(v))), 'some'],
  [
    'a data chunk of an older file in its place',
    (v, older) => v.put(some(v), older.chunk(some(v))),
    'some',
  ],
  [
    'the second half of a data chunk of an older file',
    (v, older) =>
      v.write(v.at(some(v)) + CHUNK_SIZE / 2, older.chunk(some(v)).subarray(CHUNK_SIZE / 2)),
    'some',
  ],
  [
    'data chunks moved on by one',
    (v) => {
      for (let i = 1; i < v.layout.firstMetadata - 1; i++) v.put(i, v.chunk(i + 1))
    },
    'any',
  ],
  [
    'all data of an older file',
    (v, older) => {
      for (let i = 1; i < v.layout.firstMetadata; i++) v.put(i, older.chunk(i))
    },
    'any',
  ],
]

/** Edits that are seen before anything is mounted, or while EROFS reads its superblock. */
export const REFUSED_EDITS: readonly (readonly [string, Edit, RegExp])[] = [
  ['a bit of the superblock flipped', (v) => v.flip(v.at(0) + 1030), /^ROOTFS_TAMPERED$/],
  [
    'everything of an older file, header and tags too',
    (v, older) => v.write(0, older.genuine(0, older.length)),
    /^SEALED_MISMATCH$/,
  ],
  [
    'everything of an older file, under this header',
    (v, older) => v.write(4096, older.genuine(4096, older.length)),
    /^SEALED_MISMATCH$/,
  ],
  [
    'all chunks of an older file, under this header and tags',
    (v, older) => v.write(4096, older.genuine(4096, v.tagsOffset - 4096)),
    /^ROOTFS_TAMPERED$/,
  ],
  [
    'a chunk of an older file together with its tag',
    (v, older) => {
      v.put(some(v), older.chunk(some(v)))
      v.write(v.tagsOffset + 16 * some(v), older.genuine(older.tagsOffset + 16 * some(v), 16))
    },
    /^SEALED_MISMATCH$/,
  ],
  ['a bit of a tag flipped', (v) => v.flip(v.tagsOffset + 16 * some(v) + 3), /^SEALED_MISMATCH$/],
  [
    'two tags exchanged',
    (v) => {
      v.write(v.tagsOffset + 16 * some(v), v.genuine(v.tagsOffset + 16 * another(v), 16))
      v.write(v.tagsOffset + 16 * another(v), v.genuine(v.tagsOffset + 16 * some(v), 16))
    },
    /^SEALED_MISMATCH$/,
  ],
  [
    'two chunks exchanged together with their tags',
    (v) => {
      v.put(some(v), v.chunk(another(v)))
      v.put(another(v), v.chunk(some(v)))
      v.write(v.tagsOffset + 16 * some(v), v.genuine(v.tagsOffset + 16 * another(v), 16))
      v.write(v.tagsOffset + 16 * another(v), v.genuine(v.tagsOffset + 16 * some(v), 16))
    },
    /^SEALED_MISMATCH$/,
  ],
  ['the padding of the header not zero', (v) => v.flip(2000), /^SEALED_MISMATCH$/],
  ['a byte cut off', (v) => v.resize(v.length - 1), /^SEALED_MISMATCH$/],
  ['a tag cut off', (v) => v.resize(v.length - 16), /^SEALED_MISMATCH$/],
  ['half of it cut off', (v) => v.resize(Math.floor(v.length / 2)), /^SEALED_MISMATCH$/],
  ['cut to nothing', (v) => v.resize(0), /^SEALED_MISMATCH$/],
  ['a zero appended', (v) => v.resize(v.length + 1), /^SEALED_MISMATCH$/],
  ['a chunk appended', (v) => v.write(v.length, v.chunk(some(v))), /^SEALED_MISMATCH$/],
]

/** Edits while it is mounted that concern nothing which is read again. */
export const IGNORED_EDITS: readonly (readonly [string, Edit])[] = [
  ['the header overwritten', (v) => v.write(0, new Uint8Array(4096))],
  [
    'the tag table of an older file',
    (v, o) => v.write(v.tagsOffset, o.genuine(o.tagsOffset, o.length)),
  ],
  ['a chunk appended', (v) => v.write(v.length, v.chunk(some(v)))],
]

/** Edits that a writing host makes again and again under load; `chunk` is drawn for each. */
export const LOAD_EDITS: readonly (readonly [
  string,
  (v: Victim, o: Victim, chunk: number) => void,
])[] = [
  ['bits flipped', (v, _, chunk) => v.flip(middle(v, chunk) % v.tagsOffset, chunk % 8)],
  ['chunks zeroed', (v, _, chunk) => v.put(chunk, new Uint8Array(CHUNK_SIZE))],
  ['chunks of an older file', (v, older, chunk) => v.put(chunk, older.chunk(chunk))],
  ['chunks exchanged', (v, _, chunk) => v.put(chunk, v.chunk((chunk * 7) % v.layout.chunks))],
  [
    'file cut and made as long as before',
    (v, _, chunk) => {
      // Everything after it is gone then, the metadata too: not every time.
      if (chunk % 100 !== 0) return
      v.resize(v.at(chunk))
      v.resize(v.length)
    },
  ],
]

/** Cuts while it is mounted: everything after them is gone, the metadata too. */
export const CUTS: readonly (readonly [string, Edit, Outcome])[] = [
  ['cut in the middle of the data', (v) => v.resize(v.at(some(v)) + 100), 'any'],
  ['cut to nothing', (v) => v.resize(0), 'any'],
  [
    'cut, then as long as before',
    (v) => {
      v.resize(v.at(some(v)))
      v.resize(v.length)
    },
    'any',
  ],
]
