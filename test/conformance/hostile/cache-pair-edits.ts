import { utimesSync } from 'node:fs'
import { fromHex } from '#lib/bytes'
import { cachedLayerFile } from '#lib/sealed'
import type { CacheEdit } from './cache-edit.ts'
import type { CacheHost, KeptPair } from './cache-host.ts'
import { archiveOf, bytesOf, type CacheLayer, type Identity } from './cache-layers.ts'

/** An attack after which the agent looks for more than the first layer, or for another. */
export interface PairEdit extends CacheEdit {
  readonly looked?: (host: CacheHost) => readonly KeptPair[]
}

const movedTo = cachedLayerFile(bytesOf('moved', 16))

/** Attacks with records and data that are genuine, though not here or not now. */
export const PAIR_EDITS: readonly PairEdit[] = [
  {
    name: 'another copy of record and data',
    edit: (host) => {
      host.exchange(host.first.record, host.first.recordBytes)
      host.exchange(host.first.data, host.first.dataBytes)
    },
    ...{ turns: 1, changes: () => [], outcome: 'right', twin: 'harmless' },
  },
  {
    name: 'record and data with other times',
    edit: (host, turn) => {
      const seconds = [0, 2 ** 33][turn] ?? 0
      const { record, data } = host.first
      for (const file of [record, data]) utimesSync(host.path(file), seconds, seconds)
    },
    ...{ turns: 2, changes: () => [], outcome: 'right', twin: 'harmless' },
  },
  {
    name: 'an older record, and its older data',
    edit: (host) => host.put(host.first.record, host.older.recordBytes),
    changes: ({ first }) => [first.record],
    ...{ turns: 1, outcome: 'right', twin: 'harmless' },
  },
  {
    name: 'an older record whose data is gone',
    edit: (host) => {
      host.put(host.first.record, host.older.recordBytes)
      host.replace(host.older.data)
    },
    changes: ({ first, older }) => [first.record, older.data],
    ...{ turns: 1, outcome: 'miss', twin: 'harmless' },
  },
  {
    name: 'an older record, with the newer data for its own',
    edit: (host) => {
      host.put(host.first.record, host.older.recordBytes)
      host.put(host.older.data, host.first.dataBytes)
    },
    changes: ({ first, older }) => [first.record, older.data],
    ...{ turns: 1, outcome: 'miss', twin: 'lies' },
  },
  {
    name: 'records of two layers exchanged',
    edit: (host) => {
      host.put(host.first.record, host.second.recordBytes)
      host.put(host.second.record, host.first.recordBytes)
    },
    changes: ({ first, second }) => [first.record, second.record],
    looked: ({ first, second }) => [first, second],
    ...{ turns: 1, outcome: 'miss', twin: 'lies' },
  },
  {
    name: 'data of two layers exchanged',
    edit: (host) => {
      host.put(host.first.data, host.second.dataBytes)
      host.put(host.second.data, host.first.dataBytes)
    },
    changes: ({ first, second }) => [first.data, second.data],
    looked: ({ first, second }) => [first, second],
    ...{ turns: 1, outcome: 'miss', twin: 'lies' },
  },
  {
    name: 'record and data of another layer under the names of this one',
    edit: (host) => {
      const { first, second } = host
      host.put(first.record, withFileId(second.recordBytes, first.data))
      host.put(first.data, second.dataBytes)
    },
    changes: ({ first }) => [first.record, first.data],
    ...{ turns: 1, outcome: 'miss', twin: 'lies' },
  },
  {
    name: 'data under another name, which the record names',
    edit: (host) => {
      const { first } = host
      host.put(first.record, withFileId(first.recordBytes, movedTo))
      host.replace(first.data)
      host.put(movedTo, first.dataBytes)
    },
    changes: ({ first }) => [first.record, first.data, movedTo],
    ...{ turns: 1, outcome: 'miss', twin: 'harmless' },
  },
]

/** Who could make a record and its data, consistent in itself and with other contents, for a layer. */
export interface Forger {
  readonly name: string
  /** Whose layer is looked for. */
  readonly victim: 'first' | 'plain'
  readonly identity: (layer: CacheLayer) => Identity
  /** `LID` in the header of the data; default that of the identity. */
  readonly headerId?: (host: CacheHost) => Uint8Array
}

/** Each of them lacks something; what they make is laid where the agent looks. */
export const FORGERS: readonly Forger[] = [
  {
    name: 'an edited agent, or one on another machine',
    victim: 'first',
    identity: (layer) => ({ ...layer, sealingKey: bytesOf('another sealing key', 32) }),
  },
  {
    name: 'a pod with another layer key',
    victim: 'first',
    identity: (layer) => ({ ...layer, released: other(layer, 'key') }),
  },
  {
    name: 'a pod with another nonce',
    victim: 'first',
    identity: (layer) => ({ ...layer, released: other(layer, 'nonce') }),
  },
  {
    name: 'a pod without a layer key',
    victim: 'first',
    identity: (layer) => ({ ...layer, released: undefined }),
  },
  {
    name: 'a pod that was given another layer',
    victim: 'first',
    identity: (layer) => ({ ...layer, layerId: bytesOf('another layer id', 32) }),
  },
  {
    name: 'a pod of another owner, for a plain layer',
    victim: 'plain',
    identity: (layer) => ({ ...layer, layerId: bytesOf('of another scope', 32) }),
  },
  {
    name: 'an agent that takes one layer for another',
    victim: 'first',
    identity: (layer) => layer,
    headerId: ({ second }) => second.layer.layerId,
  },
]

/** The attack with what a forger made of other contents. */
export async function forgery(host: CacheHost, forger: Forger): Promise<PairEdit> {
  const { name, victim, identity, headerId } = forger
  const { record, layer } = host[victim]
  const forged = await host.forged(identity(layer), archiveOf('evil'), headerId?.(host))
  return {
    name: `record and data made by ${name}`,
    edit: () => {
      host.put(record, forged.recordBytes)
      host.put(forged.data, forged.dataBytes)
    },
    changes: () => [record, forged.data],
    looked: () => [host[victim]],
    ...{ turns: 1, outcome: 'miss', twin: 'lies' },
  }
}

function other({ released }: CacheLayer, what: 'key' | 'nonce'): Identity['released'] {
  if (released === undefined) throw new RangeError('a plain layer')
  return { ...released, [what]: bytesOf(`another ${what}`, released[what].length) }
}

/** The record with another name of its data, in the clear. */
function withFileId(record: Uint8Array, data: string): Uint8Array {
  const bytes = Uint8Array.from(record)
  bytes.set(fromHex(data.substring(0, 32), 'name', 16), 8)
  return bytes
}
