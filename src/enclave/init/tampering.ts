import type { HandoverLayer } from '#lib/handover'
import { InitError } from './init-error.ts'
import { SCRATCH_NAME } from './scratch-file.ts'
import { servedName } from './sealed-file.ts'
import type { ServePool, ServeTrouble } from './serve-pool.ts'

type Tampered = Extract<ServeTrouble, { readonly kind: 'tampered' }>

/** The error of a start that failed because a chunk was not genuine, whichever step met it first. */
export function tampered(
  pool: ServePool,
  layers: readonly HandoverLayer[],
  cause: unknown,
): InitError | undefined {
  const { trouble } = pool
  return trouble?.kind === 'tampered' ? tamperedError(trouble, layers, cause) : undefined
}

/** What the trouble is to a start that is to be given up for it. */
export function troubleError(trouble: ServeTrouble, layers: readonly HandoverLayer[]): InitError {
  if (trouble.kind === 'tampered') return tamperedError(trouble, layers)
  const found = 'serving the root filesystem failed'
  return new InitError('ROOTFS_MOUNT_FAILED', found, { cause: trouble.cause })
}

/** The sentence of it. */
export function tamperedMessage({ file, chunk }: Tampered): string {
  return `reading the root filesystem: ${file}, chunk ${chunk} is not genuine`
}

/**
 * What the host may forget for it: the name of the sealed file as the host knows it, `scratch`, or `''`
 * where that is not known.
 */
export function damagedBy({ file }: Tampered, layers: readonly HandoverLayer[]): string {
  if (file === SCRATCH_NAME) return SCRATCH_NAME
  return layers.find((_, i) => servedName(i) === file)?.file ?? ''
}

function tamperedError(
  trouble: Tampered,
  layers: readonly HandoverLayer[],
  cause?: unknown,
): InitError {
  return new InitError('ROOTFS_TAMPERED', tamperedMessage(trouble), {
    cause,
    details: { damaged: damagedBy(trouble, layers) },
  })
}
