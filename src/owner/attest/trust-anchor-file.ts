import { intelSgxRoot, parseTrustAnchor, type TrustAnchor } from '#lib/attest'
import { readInput } from './evidence-files.ts'

/** The root in a file, or Intel's where none is named. */
export async function readAnchor(path: string | undefined): Promise<TrustAnchor> {
  return path === undefined ? intelSgxRoot() : parseTrustAnchor(await readInput(path))
}
