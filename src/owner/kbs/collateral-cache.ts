import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  COLLATERAL_FILES,
  type Collateral,
  type CollateralFacts,
  type CollateralSet,
  claimedAuthority,
  collateralFacts,
  collateralFromFiles,
  parseQuote,
  type TrustAnchor,
} from '#lib/attest'
import { toHex } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { collateralFloors } from './collateral-floors.ts'
import type { Root } from './root.ts'

interface Index {
  readonly roots: readonly Root[]
  readonly sets: ReadonlyMap<string, Collateral>
  readonly floors: ReadonlyMap<string, bigint>
}

const NOTHING: Index = { roots: [], sets: new Map(), floors: new Map() }

/** Larger files are no collateral; they are left out. */
const MAX_FILE = 1024 * 1024

/**
 * The collateral of platforms that do not send it with their evidence, as `collateral fetch` and
 * `collateral import` keep it (docs/formats/collateral.md). All of it is in memory: looking
 * something up waits for neither disk nor network. Nothing of it is trusted: a quote is verified
 * with what is found as with what is sent.
 */
export class CollateralCache {
  readonly #directory: string
  #sets: readonly CollateralSet[] = []
  #stamp = ''
  #index: Index = NOTHING

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** Reads a directory. Throws where it is none. */
  static async open(directory: string): Promise<CollateralCache> {
    const cache = new CollateralCache(directory)
    await cache.refresh()
    return cache
  }

  /** Number of sets that were read. */
  get size(): number {
    return this.#sets.length
  }

  /** Reads the directory again if a file in it changed; true if so. */
  async refresh(): Promise<boolean> {
    const directories = await setDirectories(this.#directory)
    const stamp = await stampOf(directories)
    if (stamp === this.#stamp) return false
    const sets: CollateralSet[] = []
    for (const directory of directories) {
      const set = await readSet(directory)
      if (set !== undefined) sets.push(set)
    }
    this.#sets = sets
    this.#stamp = stamp
    this.#index = NOTHING
    return true
  }

  /** The collateral for a quote under one of the roots, or undefined. */
  find(quote: Uint8Array, roots: readonly Root[]): Collateral | undefined {
    if (this.#sets.length === 0) return undefined
    const { sets } = this.#indexFor(roots)
    try {
      const { fmspc, ca } = claimedAuthority(parseQuote(quote).certificationData)
      return sets.get(`${toHex(fmspc)} ${ca}`)
    } catch (error) {
      if (isCoded(error)) return undefined
      throw error
    }
  }

  /** The highest number of this name (`collateralFloors`) in genuine sets, also expired ones. */
  floor(name: string, roots: readonly Root[]): bigint {
    return this.#indexFor(roots).floors.get(name) ?? 0n
  }

  #indexFor(roots: readonly Root[]): Index {
    if (this.#index.roots !== roots) this.#index = indexOf(this.#sets, roots)
    return this.#index
  }
}

function indexOf(kept: readonly CollateralSet[], roots: readonly Root[]): Index {
  const sets = new Map<string, Collateral>()
  const floors = new Map<string, bigint>()
  // One root at a time, since numbers are its own.
  for (const { anchor } of roots) {
    for (const set of kept) {
      const facts = factsUnder(set, anchor)
      if (facts?.tee !== 'sgx') continue
      const { pckCrlIssuerChain: _, pckCertChain: __, ...collateral } = set
      sets.set(`${facts.fmspc} ${facts.ca}`, collateral)
      const numbers = {
        tcbInfo: BigInt(facts.tcbInfoNumber),
        qeIdentity: BigInt(facts.qeIdentityNumber),
        pckCrl: facts.pckCrlNumber,
        rootCrl: facts.rootCrlNumber,
      }
      const issuer = { root: anchor.keyId, ca: facts.ca }
      for (const [name, value] of collateralFloors(issuer, numbers)) {
        if (value > (floors.get(name) ?? 0n)) floors.set(name, value)
      }
    }
  }
  return { roots, sets, floors }
}

function factsUnder(set: CollateralSet, anchor: TrustAnchor): CollateralFacts | undefined {
  try {
    return collateralFacts(set, [anchor])
  } catch (error) {
    // Of another root, or damaged: as if it were not there.
    if (isCoded(error)) return undefined
    throw error
  }
}

async function setDirectories(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return [directory, ...names.sort().map((name) => join(directory, name))]
}

async function stampOf(directories: readonly string[]): Promise<string> {
  const stamps: string[] = []
  for (const directory of directories) {
    for (const name of Object.values(COLLATERAL_FILES)) {
      const found = await stat(join(directory, name), { bigint: true }).catch(() => undefined)
      if (found) stamps.push(`${directory}/${name} ${found.ino} ${found.mtimeNs} ${found.size}`)
    }
  }
  return stamps.join('\n')
}

async function readSet(directory: string): Promise<CollateralSet | undefined> {
  const files = new Map<string, Uint8Array>()
  for (const name of Object.values(COLLATERAL_FILES)) {
    const path = join(directory, name)
    const size = await stat(path).then(
      (found) => found.size,
      () => undefined,
    )
    if (size === undefined || size > MAX_FILE) continue
    files.set(name, new Uint8Array(await readFile(path)))
  }
  return files.has(COLLATERAL_FILES.tcbInfo) ? collateralFromFiles(files) : undefined
}
