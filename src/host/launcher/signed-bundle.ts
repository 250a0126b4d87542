import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError } from '#lib/errors'
import { MAX_SIGNED_MANIFEST, parseSignedManifest, type SignedManifest } from '#lib/manifest'

/** The two manifests of a bundle, signatures verified. */
export interface SignedBundle {
  readonly agent: SignedManifest
  readonly init: SignedManifest
}

/** Reads a bundle's manifests. Throws CodedError BUNDLE_MISSING, BUNDLE_IMAGE_MISMATCH or a manifest code. */
export function readBundle(dir: string): SignedBundle {
  const [agent, init] = [readManifest(dir, 'agent'), readManifest(dir, 'init')]
  if (init.manifest.image.sha256 !== agent.manifest.image.sha256) {
    throw new CodedError('BUNDLE_IMAGE_MISMATCH', `${dir}: its two manifests name two images`)
  }
  return { agent, init }
}

function readManifest(dir: string, program: 'agent' | 'init'): SignedManifest {
  const file = join(dir, `${program}.json`)
  let bytes: Uint8Array
  try {
    bytes = readStart(file, MAX_SIGNED_MANIFEST + 1)
  } catch (cause) {
    throw new CodedError('BUNDLE_MISSING', `reading ${file} failed`, { cause })
  }
  const signed = parseSignedManifest(bytes)
  if (signed.manifest.program !== program) {
    throw new CodedError('MANIFEST_INVALID', `${file} is a manifest of another program`)
  }
  return signed
}

// A bundle may come from anybody; what is longer than a manifest is refused by its parser.
function readStart(file: string, length: number): Uint8Array {
  const fd = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readSync(fd, bytes, 0, length, 0))
  } finally {
    closeSync(fd)
  }
}
