import { OcicryptError } from './ocicrypt-error.ts'

const SUFFIX = '+encrypted'
// What ocicrypt wrote in 2019, also on docker types; no current tool reads it.
const PREHISTORIC = '+enc'

const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar'
const OCI_FOREIGN = 'application/vnd.oci.image.layer.nondistributable.v1.tar'
const WASM = 'application/vnd.wasm.content.layer.v1+wasm'

/** Plain media type to the type of its encryption (image-protection.md 1.1). */
const ENCRYPTED_TYPES: Readonly<Record<string, string>> = {
  [OCI_LAYER]: `${OCI_LAYER}${SUFFIX}`,
  [`${OCI_LAYER}+gzip`]: `${OCI_LAYER}+gzip${SUFFIX}`,
  [`${OCI_LAYER}+zstd`]: `${OCI_LAYER}+zstd${SUFFIX}`,
  [OCI_FOREIGN]: `${OCI_FOREIGN}${SUFFIX}`,
  [`${OCI_FOREIGN}+gzip`]: `${OCI_FOREIGN}+gzip${SUFFIX}`,
  [`${OCI_FOREIGN}+zstd`]: `${OCI_FOREIGN}+zstd${SUFFIX}`,
  [WASM]: `${WASM}${SUFFIX}`,
  // A docker manifest cannot carry an encrypted layer: the image becomes an OCI image.
  'application/vnd.docker.image.rootfs.diff.tar': `${OCI_LAYER}${SUFFIX}`,
  'application/vnd.docker.image.rootfs.diff.tar.gzip': `${OCI_LAYER}+gzip${SUFFIX}`,
}

/** True for the media type of an encrypted layer. */
export function isEncryptedType(mediaType: string): boolean {
  return mediaType.endsWith(SUFFIX)
}

/** The media type of the encrypted layer. Throws `LAYER_TYPE_UNSUPPORTED`. */
export function encryptedType(mediaType: string): string {
  if (!Object.hasOwn(ENCRYPTED_TYPES, mediaType)) {
    throw unsupported(`encrypting a layer of type ${mediaType}`, mediaType)
  }
  return ENCRYPTED_TYPES[mediaType] as string
}

/** The media type of the decrypted bytes. Throws `LAYER_TYPE_UNSUPPORTED`. */
export function decryptedType(mediaType: string): string {
  const plain = mediaType.slice(0, -SUFFIX.length)
  if (!isEncryptedType(mediaType) || ENCRYPTED_TYPES[plain] !== mediaType) {
    throw unsupported(`decrypting a layer of type ${mediaType}`, mediaType)
  }
  return plain
}

function unsupported(attempt: string, mediaType: string): OcicryptError {
  let found = 'the type is not a layer that can be encrypted'
  if (isEncryptedType(mediaType)) found = 'the layer is encrypted already or of an unknown type'
  if (mediaType.endsWith(PREHISTORIC)) found = 'the image was encrypted with a tool of 2019'
  return new OcicryptError('LAYER_TYPE_UNSUPPORTED', `${attempt}: ${found}`)
}
