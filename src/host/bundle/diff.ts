import { toHex } from '#lib/bytes'
import { type EnclaveManifest, mrSigner } from '#lib/manifest'
import { readBundle } from '../launcher/signed-bundle.ts'
import { measureBundle } from './measure.ts'

/** Document of `bundle diff --json`. */
export interface BundleDiff {
  readonly same: boolean
  /** Files, by SHA-256 before and after; absent where the file is not. */
  readonly changed: readonly {
    readonly path: string
    readonly before?: string
    readonly after?: string
  }[]
  /** Manifest members, e.g. `agent.isvSvn`. */
  readonly attributes: readonly {
    readonly name: string
    readonly before: unknown
    readonly after: unknown
  }[]
}

// Consequences of what is listed anyway; naming them would hide the cause.
const DERIVED = ['image.sha256', 'image.size', 'peers.init.mrEnclave']

/** Says which files and attributes make two bundles measure differently. */
export function diffBundles(before: string, after: string): BundleDiff {
  const [a, b] = [files(before), files(after)]
  const changed = [...new Set([...a.keys(), ...b.keys()])].sort().flatMap((path) => {
    const [x, y] = [a.get(path), b.get(path)]
    if (x === y) return []
    return [
      { path, ...(x === undefined ? {} : { before: x }), ...(y === undefined ? {} : { after: y }) },
    ]
  })
  const [p, q] = [attributes(before), attributes(after)]
  const names = [...new Set([...p.keys(), ...q.keys()])].sort()
  const differing = names.flatMap((name) =>
    p.get(name) === q.get(name)
      ? []
      : [{ name, before: p.get(name) ?? null, after: q.get(name) ?? null }],
  )
  return { same: changed.length + differing.length === 0, changed, attributes: differing }
}

function files(dir: string): ReadonlyMap<string, string> {
  return new Map(measureBundle(dir).files.map(({ path, sha256 }) => [path, sha256]))
}

function attributes(dir: string): ReadonlyMap<string, unknown> {
  const bundle = readBundle(dir)
  const found = new Map<string, unknown>()
  for (const program of ['agent', 'init'] as const) {
    found.set(`${program}.mrSigner`, toHex(mrSigner(bundle[program].signer)))
    flatten(bundle[program].manifest, (name, value) => {
      if (!DERIVED.includes(name)) found.set(`${program}.${name}`, value)
    })
  }
  return found
}

function flatten(manifest: EnclaveManifest, each: (name: string, value: unknown) => void): void {
  const walk = (name: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) {
      each(name, value)
      return
    }
    for (const [key, member] of Object.entries(value)) {
      walk(name === '' ? key : `${name}.${key}`, member)
    }
  }
  walk('', manifest)
}
