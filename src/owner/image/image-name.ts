import { parseReference, type Reference } from '#lib/oci'
import { ImageError } from './image-error.ts'

/** A place of an image, as written on the command line. */
export type ImageName =
  | { readonly transport: 'docker'; readonly text: string; readonly reference: Reference }
  | {
      readonly transport: 'oci'
      readonly text: string
      readonly directory: string
      /** Name within the layout; undefined means its only image. */
      readonly tag: string | undefined
    }

const LATER = ['oci-archive', 'docker-archive', 'docker-daemon', 'dir', 'containers-storage']
// As containers/image: letters and digits, single separators between them, parts joined by slashes.
const LAYOUT_TAG =
  /^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:\/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*$/

/**
 * Parses `docker://REF` or `oci:DIR[:TAG]`; with `bare`, a REF without transport is one of a
 * registry. Throws `IMAGE_TRANSPORT_UNSUPPORTED`, `IMAGE_REFERENCE_INVALID`, `USAGE`.
 */
export function parseImageName(text: string, bare: boolean): ImageName {
  if (text.startsWith('docker://')) {
    return { transport: 'docker', text, reference: parseReference(text.slice(9)) }
  }
  if (text.startsWith('oci:')) return parseLayoutName(text)
  const transport = LATER.find((name) => text.startsWith(`${name}:`))
  if (transport !== undefined) {
    throw new ImageError(
      'IMAGE_TRANSPORT_UNSUPPORTED',
      `reading image name ${JSON.stringify(text)}: the transport ${transport}: is not supported yet`,
    )
  }
  if (bare)
    return { transport: 'docker', text: `docker://${text}`, reference: parseReference(text) }
  throw new ImageError(
    'IMAGE_TRANSPORT_UNSUPPORTED',
    `reading image name ${JSON.stringify(text)}: it does not begin with docker:// or oci:`,
  )
}

function parseLayoutName(text: string): ImageName {
  const rest = text.slice('oci:'.length)
  const colon = rest.indexOf(':')
  const directory = colon < 0 ? rest : rest.slice(0, colon)
  const tag = colon < 0 ? undefined : rest.slice(colon + 1)
  if (directory === '' || (tag !== undefined && !LAYOUT_TAG.test(tag))) {
    throw new ImageError(
      'USAGE',
      `reading image name ${JSON.stringify(text)}: it is not oci:DIR[:TAG]`,
    )
  }
  return { transport: 'oci', text, directory, tag }
}
