import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CollateralFacts,
  type CollateralSet,
  collateralFacts,
  MAX_COLLATERAL_BUNDLE,
  openCollateralBundle,
  requireNotOlder,
  signCollateralBundle,
  type TrustAnchor,
  verifyCollateralSet,
} from '#lib/attest'
import { fromUtf8 } from '#lib/bytes'
import type { CommandInput, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import { describeFacts } from './collateral-fetch.ts'
import { factsOf, readSets, sameSubject, setName, writeSet } from './collateral-store.ts'
import { readInput } from './evidence-files.ts'
import { readAnchor } from './trust-anchor-file.ts'

const MAX_KEY = 64 * 1024

/** Runs `collateral export`: all sets into one signed file; one that is not good now ends it. */
export async function collateralExportCommand(input: CommandInput): Promise<Outcome> {
  const [directory = ''] = input.operands
  const key = required(input, 'export', 'key')
  const out = required(input, 'export', 'out')
  const anchors = [await readAnchor(input.text('trust-anchor'))]
  const now = Date.now()
  const stored = await readSets(directory)
  if (stored.length === 0) {
    throw new CodedError('INPUT_UNREADABLE', `exporting ${directory}: there is no collateral in it`)
  }
  // The PCK chain of one machine has no place in a file for many.
  const sets = stored.map(({ set: { pckCertChain: _, ...set } }) => set)
  const facts = sets.map((set) => verifyCollateralSet(set, anchors, now))
  const pem = fromUtf8(await readInput(key, MAX_KEY), 'key')
  const bundle = signCollateralBundle({ createdAt: now, sets }, pem)
  await writeFile(out, bundle, { flag: input.flag('force') ? 'w' : 'wx' }).catch(notWritten(out))
  return {
    document: { file: out, sets: facts.map(describeFacts) },
    text: `${sets.length} set(s) in ${out}`,
  }
}

/** Runs `collateral import`: verifies the signature, then each set, and refuses older ones. */
export async function collateralImportCommand(input: CommandInput): Promise<Outcome> {
  const [directory = ''] = input.operands
  const key = required(input, 'import', 'key')
  const file = required(input, 'import', 'in')
  const anchors = [await readAnchor(input.text('trust-anchor'))]
  const now = Date.now()
  const pem = fromUtf8(await readInput(key, MAX_KEY), 'key')
  const { sets } = openCollateralBundle(await readInput(file, MAX_COLLATERAL_BUNDLE), pem)
  // Compared by what it is, not by its name: earlier versions had no root in it.
  const stored = await storedFacts(directory, anchors)
  // All are judged before any is written: half a bundle would be hard to explain.
  const judged: { set: CollateralSet; facts: CollateralFacts; at: string }[] = []
  for (const set of sets) {
    const facts = verifyCollateralSet(set, anchors, now)
    const at = join(directory, setName(facts))
    for (const known of stored) if (sameSubject(facts, known)) requireNotOlder(facts, known)
    // Two sets for one directory: the older one must not end up in it.
    const twin = judged.find((other) => other.at === at)
    if (twin) requireNotOlder(facts, twin.facts)
    judged.push({ set, facts, at })
  }
  const imported: (CollateralFacts & { directory: string })[] = []
  for (const { set, facts, at } of judged) {
    await writeSet(at, set, facts, undefined)
    imported.push({ ...facts, directory: at })
  }
  return {
    document: {
      directory,
      sets: imported.map((facts) => ({ ...describeFacts(facts), directory: facts.directory })),
    },
    text: imported.map((facts) => facts.directory).join('\n'),
  }
}

/** What of a directory is genuine under the anchors; nothing where there is no directory yet. */
async function storedFacts(
  directory: string,
  anchors: readonly TrustAnchor[],
): Promise<CollateralFacts[]> {
  if (!existsSync(directory)) return []
  const sets = await readSets(directory)
  return sets.flatMap(({ set }) => factsOf(() => collateralFacts(set, anchors)) ?? [])
}

function required(input: CommandInput, command: string, flag: string): string {
  const value = input.text(flag)
  if (value !== undefined) return value
  throw new CodedError('USAGE', `collateral ${command}: --${flag} is missing`)
}

function notWritten(path: string): (cause: unknown) => never {
  return (cause) => {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST'
    const found = exists ? 'it is there already' : String((cause as NodeJS.ErrnoException).code)
    const next = exists ? { next: 'pass --force, or another --out' } : {}
    throw new CodedError('USAGE', `writing ${path}: ${found}`, { cause, ...next })
  }
}
