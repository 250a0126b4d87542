import type { CodedError } from '#lib/errors'
import type { PreparedLayer } from '#protocol/agent'

/** What an enclave says of damage that it met. */
export interface Damage {
  readonly code: string | undefined
  /** Name of the damaged file, `scratch`, or anything else; unchecked. */
  readonly damaged: unknown
}

/** What a start that failed says of damage. */
export function damageOf({ code, details }: CodedError): Damage {
  return { code, damaged: details?.damaged }
}

/**
 * The sealed files of a container that its host shall forget (docs/formats/agent-protocol.md): the one that
 * init named, none where it was the scratch, all where it named none of them.
 */
export function damagedFiles(
  layers: readonly PreparedLayer[],
  { code, damaged }: Damage,
): readonly string[] {
  if (code !== 'ROOTFS_TAMPERED' && code !== 'SEALED_MISMATCH') return []
  if (damaged === 'scratch') return []
  const files = layers.map(({ file }) => file)
  return files.some((file) => file === damaged) ? [damaged as string] : files
}
