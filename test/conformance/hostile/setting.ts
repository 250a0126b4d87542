import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HandoverLayer } from '#lib/handover'
import {
  CHUNK_SIZE,
  HEADER_BLOCK,
  openChunk,
  parseHeader,
  sealedLayout,
  TAG_LENGTH,
} from '#lib/sealed'
import { busyboxBinary } from '../../support/busybox-image.ts'
import { sealLayer, testFolder } from '../../support/init-harness.ts'
import { Stack } from './stack.ts'
import { type Expected, expectations, makeTree } from './tree.ts'
import { Victim } from './victim.ts'

/** Seed of everything that the suite chooses; `HOSTILE_SEED`. */
export const SEED: number = Number(process.env.HOSTILE_SEED ?? 1)

/** How much larger than usual the tree and the load are; `HOSTILE_SCALE`. */
export const SCALE: number = Number(process.env.HOSTILE_SCALE ?? 1)

/** One layer in every form that the suite needs. */
export interface HostileLayer {
  readonly sealed: HandoverLayer
  /** Sealed from another content of the same shape: what an older version would be. */
  readonly older: HandoverLayer
  /** Path of the same image, not encrypted and not authenticated. */
  readonly twin: string
  readonly olderTwin: string
}

/** Two layers, their twins, and a stack that can mount either. */
export interface Setting extends AsyncDisposable {
  readonly folder: string
  readonly spool: string
  /** Base first. */
  readonly layers: readonly HostileLayer[]
  readonly expected: readonly Expected[]
  readonly stack: Stack
  /** The sealed file of a layer, to be edited and restored; `older` for what it was replaced with. */
  sealedVictim(layer: number, older?: boolean): Victim
  /** The plain image of a layer, to be edited. */
  twinVictim(layer: number, older?: boolean): Victim
  /** A fresh copy of the keys, which init wipes. */
  handover(): readonly HandoverLayer[]
}

/** A program in the base layer that needs nothing else; by its name it comes first in the image. */
export const PROGRAM = 'busybox'

/** Builds it all in a temporary folder: a tree of so many files, four fifths of them in the base. */
export async function hostileSetting(files: number = 400 * SCALE): Promise<Setting> {
  const folder = testFolder()
  const spool = join(folder.path, 'spool')
  const layers: HostileLayer[] = []
  const trees: string[] = []
  for (const [i, part] of [0.8, 0.2].entries()) {
    const versions = [0, 1].map((version) => join(folder.path, `tree-${i}-${version}`))
    versions.forEach((tree, version) => {
      makeTree({
        folder: tree,
        files: files * part,
        shape: SEED + i,
        content: 2 * (SEED + i) + version,
      })
    })
    if (i === 0) for (const tree of versions) copyFileSync(busyboxBinary(), join(tree, PROGRAM))
    const [now = '', before = ''] = versions
    const sealed = await sealLayer(now, spool, `layer-${i}`)
    const older = await sealLayer(before, spool, `older-${i}`)
    const twin = join(folder.path, `twin-${i}.erofs`)
    const olderTwin = join(folder.path, `older-${i}.erofs`)
    writeFileSync(twin, openWhole(spool, sealed))
    writeFileSync(olderTwin, openWhole(spool, older))
    layers.push({ sealed, older, twin, olderTwin })
    trees.push(now)
  }
  const expected = expectations(trees)
  for (const tree of trees) rmSync(tree, { recursive: true })
  const stack = await Stack.start(join(folder.path, 'mounts'), expected)
  const layerOf = (i: number): HostileLayer => {
    const layer = layers[i]
    if (layer === undefined) throw new RangeError(`layer ${i}`)
    return layer
  }
  const layoutOf = (i: number, dataStart: number) => {
    const image = readFileSync(layerOf(i).twin)
    return {
      dataStart,
      image,
      chunks: parseHeader(layerOf(i).sealed.header).chunkCount,
      // superblock at byte 1024; at 40 of it is the block where the metadata begins
      firstMetadata: Math.floor((image.readUInt32LE(1024 + 40) * 4096) / CHUNK_SIZE),
    }
  }
  // Read once: there are hundreds of cases.
  const victims = new Map<string, Victim>()
  const victim = (path: string, i: number, dataStart: number): Victim => {
    const one = victims.get(path) ?? new Victim(path, layoutOf(i, dataStart))
    victims.set(path, one)
    return one
  }
  return {
    folder: folder.path,
    spool,
    layers,
    expected,
    stack,
    sealedVictim(i, older = false) {
      const { file } = older ? layerOf(i).older : layerOf(i).sealed
      return victim(join(spool, file), i, HEADER_BLOCK)
    },
    twinVictim(i, older = false) {
      return victim(older ? layerOf(i).olderTwin : layerOf(i).twin, i, 0)
    },
    handover: () => layers.map(({ sealed }) => ({ ...sealed, key: Uint8Array.from(sealed.key) })),
    async [Symbol.asyncDispose]() {
      await stack[Symbol.asyncDispose]()
      for (const one of victims.values()) one[Symbol.dispose]()
      folder[Symbol.dispose]()
    },
  }
}

function openWhole(spool: string, layer: HandoverLayer): Uint8Array {
  const bytes = readFileSync(join(spool, layer.file))
  const header = parseHeader(layer.header)
  const { tagsOffset } = sealedLayout(header)
  const out = new Uint8Array(header.imageLength)
  for (let i = 0; i < header.chunkCount; i++) {
    const from = HEADER_BLOCK + i * CHUNK_SIZE
    const to = Math.min(from + CHUNK_SIZE, tagsOffset)
    const tag = bytes.subarray(tagsOffset + i * TAG_LENGTH, tagsOffset + (i + 1) * TAG_LENGTH)
    const plain = openChunk(layer.key, header.fileId, i, bytes.subarray(from, to), tag)
    if (plain === undefined) throw new Error(`chunk ${i} of ${layer.file}`)
    out.set(plain, i * CHUNK_SIZE)
  }
  return out
}
