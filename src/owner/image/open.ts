import type { Reference } from '#lib/oci'
import { parseImageName } from './image-name.ts'
import { openLayoutDestination } from './layout-destination.ts'
import { openLayoutSource } from './layout-source.ts'
import type { RegistryAccess } from './registry-access.ts'
import { openRegistryDestination, openRegistrySource } from './registry-image.ts'
import type { ImageDestination, ImageSource } from './transport.ts'

/** How a name on the command line is read. */
export interface OpenOptions {
  /** Take a name without transport as one of a registry: `image inspect REF`. */
  readonly bare?: boolean
}

/** Opens `docker://REF` or `oci:DIR[:TAG]` for reading. */
export async function openSource(
  text: string,
  access: RegistryAccess,
  options: OpenOptions = {},
): Promise<ImageSource> {
  const name = parseImageName(text, options.bare === true)
  return name.transport === 'oci' ? openLayoutSource(name) : openRegistrySource(name, access)
}

/** Opens `docker://REF` or `oci:DIR[:TAG]` for writing; `from` lets a registry share blobs. */
export async function openDestination(
  text: string,
  access: RegistryAccess,
  options: OpenOptions & { readonly from?: Reference | undefined } = {},
): Promise<ImageDestination> {
  const name = parseImageName(text, options.bare === true)
  return name.transport === 'oci'
    ? openLayoutDestination(name)
    : openRegistryDestination(name, access, options.from)
}
