import { FormatError } from '#lib/bytes'
import { integer, object, oneOf, optional } from '#lib/json'
import { MAX_SCRATCH, MIN_SCRATCH, SCRATCH_CHUNK } from '#lib/scratch'

/** Where the writable layer of a container is: encrypted on the node's disk, or in memory. */
export type ScratchKind = 'disk' | 'tmpfs'

/** The writable layer: how it is kept, and bytes that it holds at most. */
export interface ScratchPolicy {
  readonly kind: ScratchKind
  readonly size: number
}

/** Sizes where nobody asks for another: 4 GiB on disk, 1 GiB of memory. */
export const DEFAULT_SCRATCH: Readonly<Record<ScratchKind, number>> = {
  disk: 2 ** 32,
  tmpfs: 2 ** 30,
}

const KINDS = ['disk', 'tmpfs'] as const
const RANGES: Readonly<Record<ScratchKind, readonly [number, number]>> = {
  disk: [MIN_SCRATCH, MAX_SCRATCH],
  tmpfs: [65_536, 2 ** 40],
}

/** Parses `{"kind", "size"}`, both present. Throws FormatError. */
export function parseScratchPolicy(value: unknown, name: string): ScratchPolicy {
  const found = object(value, name, ['kind', 'size'])
  const kind = oneOf(found.kind, `${name}.kind`, KINDS)
  return { kind, size: sizeOf(kind, found.size, `${name}.size`) }
}

/** Parses what a host asks for: the kind, and perhaps a size. Throws FormatError. */
export function parseScratchRequest(
  value: unknown,
  name: string,
): { readonly kind: ScratchKind; readonly size?: number } {
  const found = object(value, name, ['kind', 'size'])
  const kind = oneOf(found.kind, `${name}.kind`, KINDS)
  const size = optional(found.size, (v) => sizeOf(kind, v, `${name}.size`))
  return size === undefined ? { kind } : { kind, size }
}

function sizeOf(kind: ScratchKind, value: unknown, name: string): number {
  const size = integer(value, name, ...RANGES[kind])
  if (kind === 'disk' && size % SCRATCH_CHUNK !== 0) {
    throw new FormatError('FORMAT_INVALID', name, 0, `is ${size}, no multiple of ${SCRATCH_CHUNK}`)
  }
  return size
}
