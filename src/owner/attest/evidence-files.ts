import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  COLLATERAL_FILES,
  type Collateral,
  collateralFromFiles,
  MAX_QUOTE_SIZE,
  parseCollateral,
} from '#lib/attest'
import { FormatError } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { base64, object, parseJson } from '#lib/json'
import { readFileAtMost } from '#platform/input-file'

/** Any one file of a set; Intel's largest has 20 kB, RA evidence in JSON some 30 kB. */
const MAX_FILE_SIZE = 4 * 1024 * 1024

/** A quote and, where they were found, the artefacts to verify it with. */
export interface EvidenceFiles {
  readonly quote: Uint8Array
  readonly collateral: Collateral
}

/**
 * Reads a quote: raw, or evidence JSON `{"quote":"<base64>"}` as agents send it, which may carry
 * collateral. A quote never starts with `{`. Throws CodedError INPUT_UNREADABLE.
 */
export async function readQuoteFile(
  path: string,
): Promise<{ readonly quote: Uint8Array; readonly collateral?: Collateral }> {
  const bytes = await readInput(path, MAX_FILE_SIZE)
  if (bytes[0] !== 0x7b) {
    if (bytes.length > MAX_QUOTE_SIZE) throw tooLong(path, MAX_QUOTE_SIZE)
    return { quote: bytes }
  }
  try {
    const evidence = object(parseJson(bytes, { name: 'evidence' }), 'evidence')
    return {
      quote: base64(evidence.quote, 'evidence.quote'),
      ...(evidence.collateral !== undefined && {
        collateral: parseCollateral(evidence.collateral),
      }),
    }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw unreadable(path, cause.message, cause)
  }
}

/**
 * Reads `quote.bin` of a directory, or a quote from a file, and the collateral: from
 * `collateralDir`, else from inside the evidence, else from the directory of the quote.
 */
export async function readEvidence(
  path: string,
  collateralDir: string | undefined,
): Promise<EvidenceFiles> {
  const isDirectory = await stat(path).then(
    (found) => found.isDirectory(),
    (cause: unknown) => {
      throw unreadable(path, reason(cause), cause)
    },
  )
  const file = isDirectory ? join(path, 'quote.bin') : path
  const { quote, collateral } = await readQuoteFile(file)
  if (collateralDir === undefined && collateral !== undefined) return { quote, collateral }
  return { quote, collateral: await readCollateral(collateralDir ?? dirname(file)) }
}

/** Reads one whole file of at most `max` bytes. Throws CodedError INPUT_UNREADABLE. */
export async function readInput(path: string, max: number = MAX_FILE_SIZE): Promise<Uint8Array> {
  try {
    const bytes = await readFileAtMost(path, max)
    if (bytes !== undefined) return bytes
  } catch (cause) {
    throw unreadable(path, reason(cause), cause)
  }
  throw tooLong(path, max)
}

async function readCollateral(dir: string): Promise<Collateral> {
  const files = new Map<string, Uint8Array>()
  for (const name of Object.values(COLLATERAL_FILES)) {
    const bytes = await readOptional(join(dir, name))
    if (bytes !== undefined) files.set(name, bytes)
  }
  const { pckCrlIssuerChain: _, ...collateral } = collateralFromFiles(files)
  return collateral
}

/** Reads a file that need not be there. Throws CodedError INPUT_UNREADABLE. */
export async function readOptional(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readInput(path)
  } catch (error) {
    const cause = error instanceof CodedError ? error.cause : undefined
    if ((cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined
    throw error
  }
}

function tooLong(path: string, max: number): CodedError {
  return unreadable(path, `it has more than ${max} bytes`)
}

function unreadable(path: string, found: string, cause?: unknown): CodedError {
  return new CodedError('INPUT_UNREADABLE', `reading ${path}: ${found}`, { cause })
}

function reason(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ENOENT') return 'there is no such file'
  return code ?? (cause instanceof Error ? cause.message : String(cause))
}
