import { manifestName, type Reference } from '#lib/oci'
import type { ImageName } from './image-name.ts'
import type { RegistryAccess } from './registry-access.ts'
import { connectRegistry } from './registry-connection.ts'
import type { ImageDestination, ImageSource } from './transport.ts'

type DockerName = Extract<ImageName, { transport: 'docker' }>

/** Opens an image of a registry for reading. */
export async function openRegistrySource(
  name: DockerName,
  access: RegistryAccess,
): Promise<ImageSource> {
  const { reference, text } = name
  const connection = await connectRegistry(reference, access, false)
  const { client } = connection
  return {
    text,
    reference,
    top: () => client.manifest(manifestName(reference)),
    listed: (entry) => client.listedManifest(entry),
    tagged: (tag) => client.findManifest(tag),
    referrers: (digest) => client.referrers(digest),
    blob: (descriptor) => client.blob(descriptor),
    [Symbol.asyncDispose]: async () => connection[Symbol.dispose](),
  }
}

/**
 * Opens an image of a registry for writing. Blobs that the repository of `from` has, at the
 * same registry, are mounted instead of sent.
 */
export async function openRegistryDestination(
  name: DockerName,
  access: RegistryAccess,
  from: Reference | undefined,
): Promise<ImageDestination> {
  const { reference, text } = name
  const connection = await connectRegistry(reference, access, true)
  const { client } = connection
  const sibling =
    from?.host === reference.host && from.repository !== reference.repository
      ? from.repository
      : undefined
  return {
    text,
    reference,
    has: async ({ digest }) =>
      (await client.hasBlob(digest)) ||
      (sibling !== undefined && (await client.mountBlob(digest, sibling))),
    blob: (source, known) => client.pushBlob(source, known),
    manifest: (bytes, mediaType, tag) => client.pushManifest(bytes, mediaType, tag),
    tagged: (tag) => client.findManifest(tag),
    commit: (bytes, mediaType) => client.pushManifest(bytes, mediaType, commitName(reference)),
    [Symbol.asyncDispose]: async () => connection[Symbol.dispose](),
  }
}

// A destination with a digest stands for what must come out; it is pushed under that digest,
// and the copy is refused if another comes out.
function commitName(reference: Reference): string | undefined {
  return reference.digest === undefined ? (reference.tag ?? 'latest') : undefined
}
