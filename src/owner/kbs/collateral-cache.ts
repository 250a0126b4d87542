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

interface Found {
  readonly collateral: Collateral
  readonly facts: CollateralFacts
}

interface Index {
  readonly roots: readonly Root[]
  readonly sets: ReadonlyMap<string, Found>
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
      const { rootKey, fmspc, ca } = claimedAuthority(parseQuote(quote).certificationData)
      return rootKey && sets.get(setKey(rootKey, toHex(fmspc), ca))?.collateral
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
  const sets = new Map<string, Found>()
  const floors = new Map<string, bigint>()
  // One root at a time, since numbers are its own.
  for (const { anchor } of roots) {
    for (const set of kept) {
      const facts = factsUnder(set, anchor)
      if (facts?.tee !== 'sgx') continue
      const { pckCrlIssuerChain: _, pckCertChain: __, ...collateral } = set
      const key = setKey(anchor.certificate.spki, facts.fmspc, facts.ca)
      // Of two sets for the same platforms the newer one counts, whatever its directory is called.
      const known = sets.get(key)
      if (known === undefined || isNewer(facts, known.facts)) sets.set(key, { collateral, facts })
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

/** Roots do not share: every simulated platform has the same FMSPC. */
function setKey(rootKey: Uint8Array, fmspc: string, ca: string): string {
  return `${toHex(rootKey)} ${fmspc} ${ca}`
}

/** By evaluation numbers, then numbers of the lists, then time: issuers only ever raise them. */
function isNewer(facts: CollateralFacts, known: CollateralFacts): boolean {
  const order = (of: CollateralFacts): (bigint | number)[] => [
    of.tcbInfoNumber,
    of.qeIdentityNumber,
    of.pckCrlNumber,
    of.rootCrlNumber,
    of.issued,
  ]
  const before = order(known)
  const [found, lowest] = order(facts)
    .map((value, i) => [value, before[i] ?? 0] as const)
    .find(([value, other]) => value !== other) ?? [0, 0]
  return found > lowest
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
