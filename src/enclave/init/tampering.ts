import type { HandoverLayer } from '#lib/handover'
import { InitError } from './init-error.ts'
import { SCRATCH_NAME } from './scratch-file.ts'
import { servedName } from './sealed-file.ts'
import type { ServePool, ServeTrouble } from './serve-pool.ts'

type Tampered = Extract<ServeTrouble, { readonly kind: 'tampered' }>

/** The error of a start during which a chunk was not genuine or a thread failed, whichever step met it. */
export function troubleError(
  { trouble }: ServePool,
  layers: readonly HandoverLayer[],
  cause: unknown,
): InitError | undefined {
  if (trouble === undefined) return undefined
  if (trouble.kind === 'tampered') {
    return new InitError('ROOTFS_TAMPERED', tamperedMessage(trouble), {
      cause,
      details: { damaged: damagedBy(trouble, layers) },
    })
  }
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
