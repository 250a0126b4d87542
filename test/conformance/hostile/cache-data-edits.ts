import { linkSync } from 'node:fs'
import {
  HEADER_BLOCK,
  HEADER_LENGTH,
  parseHeaderBlock,
  sealedLayout,
  TAG_LENGTH,
} from '#lib/sealed'
import { type CacheEdit, chance, NO_FILES } from './cache-edit.ts'
import type { CacheHost, Pair } from './cache-host.ts'

type Twin = CacheEdit['twin']
type Part = 'header' | 'chunks' | 'tags'

const PADDING = 20

/** Attacks on the data that a genuine record names. */
export const DATA_EDITS: readonly CacheEdit[] = [
  edit('that of another layer', 'lies', 'miss', (host) =>
    host.put(host.first.data, host.second.dataBytes),
  ),
  edit('that of another layer, as another file', 'lies', 'miss', (host) =>
    host.exchange(host.first.data, host.second.dataBytes),
  ),
  edit('that of another layer, as a hard link', 'lies', 'miss', (host) =>
    host.replace(host.first.data, (path) => linkSync(host.path(host.second.data), path)),
  ),
  edit('older data of this layer', 'lies', 'miss', (host) =>
    host.put(host.first.data, host.older.dataBytes),
  ),
  ...mixed('second', 'another layer'),
  ...mixed('older', 'older data'),
  edit(
    'each byte of the header flipped',
    'harmless',
    'miss',
    (host, turn) => host.flip(host.first.data, turn, turn % 8),
    HEADER_LENGTH,
  ),
  edit(
    'some bit after the header flipped',
    'harmless',
    'miss',
    (host) => {
      const at = HEADER_LENGTH + chance(HEADER_BLOCK - HEADER_LENGTH)
      host.flip(host.first.data, at, chance(8))
    },
    PADDING,
  ),
  edit(
    'a bit of a tag flipped',
    'harmless',
    'miss',
    (host, turn) => {
      const { tags } = partsOf(host.first)
      const at = tags.from + turn * TAG_LENGTH + chance(TAG_LENGTH)
      host.flip(host.first.data, at, chance(8))
    },
    chunksOf,
  ),
  edit('two tags exchanged', 'harmless', 'miss', (host) => exchange(host, ['tags'])),
  edit('two chunks exchanged with their tags', 'lies', 'miss', (host) =>
    exchange(host, ['chunks', 'tags']),
  ),
  edit('two chunks exchanged', 'lies', 'EIO', (host) => exchange(host, ['chunks'])),
  edit(
    'a bit of a chunk flipped',
    'lies',
    'EIO',
    (host, turn) => host.flip(host.first.data, HEADER_BLOCK + turn * 4096 + chance(4096), 1),
    chunksOf,
  ),
  edit('all chunks zeroed', 'lies', 'EIO', (host) => {
    const { chunks } = partsOf(host.first)
    host.write(host.first.data, chunks.from, new Uint8Array(chunks.to - chunks.from))
  }),
  edit('zeros instead', 'lies', 'miss', (host) =>
    host.put(host.first.data, new Uint8Array(host.first.dataBytes.length)),
  ),
  edit(
    'cut',
    'lies',
    'miss',
    (host, turn) => {
      const { length } = host.first.dataBytes
      const { tags } = partsOf(host.first)
      const lengths = [length - 1, length - TAG_LENGTH, tags.from, length >> 1, HEADER_BLOCK, 40, 0]
      host.resize(host.first.data, lengths[turn] ?? 0)
    },
    7,
  ),
  edit(
    'longer',
    'harmless',
    'miss',
    (host, turn) => {
      const { length } = host.first.dataBytes
      const lengths = [length + 1, length + TAG_LENGTH, length + 4096 + TAG_LENGTH, 2 ** 40]
      host.resize(host.first.data, lengths[turn] ?? 0)
    },
    4,
  ),
  ...Object.entries(NO_FILES).map(([name, make]) =>
    edit(name, 'harmless', 'miss', (host) =>
      host.replace(host.first.data, (path) => make(path, host.first.dataBytes)),
    ),
  ),
]

/** Parts of the data of one file within another, every combination that is neither of the two. */
function mixed(source: 'older' | 'second', whose: string): readonly CacheEdit[] {
  const combinations: readonly (readonly [readonly Part[], Twin, CacheEdit['outcome']])[] = [
    [['header'], 'harmless', 'miss'],
    [['tags'], 'harmless', 'miss'],
    [['header', 'tags'], 'harmless', 'miss'],
    [['chunks'], 'lies', 'EIO'],
    [['header', 'chunks'], 'lies', 'miss'],
    [['chunks', 'tags'], 'lies', 'miss'],
  ]
  return combinations.map(([parts, twin, outcome]) =>
    edit(`${parts.join(' and ')} of ${whose}`, twin, outcome, (host) => {
      const { first } = host
      const places = partsOf(first)
      for (const part of parts) {
        const { from, to } = places[part]
        host.write(first.data, from, host[source].dataBytes.subarray(from, to))
      }
    }),
  )
}

/** Two chunks, or what belongs to them, in each other's place. */
function exchange(host: CacheHost, parts: readonly ('chunks' | 'tags')[]): void {
  const { data, dataBytes } = host.first
  const places = partsOf(host.first)
  for (const part of parts) {
    const size = part === 'tags' ? TAG_LENGTH : 4096
    const [a, b] = [places[part].from + 7 * size, places[part].from + 20 * size]
    host.write(data, a, dataBytes.subarray(b, b + size))
    host.write(data, b, dataBytes.subarray(a, a + size))
  }
}

function chunksOf({ first }: CacheHost): number {
  const { tags } = partsOf(first)
  return (tags.to - tags.from) / TAG_LENGTH
}

function partsOf({ dataBytes }: Pair): Record<Part, { from: number; to: number }> {
  const { tagsOffset } = sealedLayout(parseHeaderBlock(dataBytes.subarray(0, HEADER_BLOCK)))
  return {
    header: { from: 0, to: HEADER_BLOCK },
    chunks: { from: HEADER_BLOCK, to: tagsOffset },
    tags: { from: tagsOffset, to: dataBytes.length },
  }
}

function edit(
  name: string,
  twin: Twin,
  outcome: CacheEdit['outcome'],
  make: CacheEdit['edit'],
  turns: CacheEdit['turns'] = 1,
): CacheEdit {
  const changes = ({ first }: CacheHost): readonly string[] => [first.data]
  return { name: `its data: ${name}`, turns, edit: make, changes, outcome, twin }
}
