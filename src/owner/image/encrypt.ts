import { equalSecret } from '#lib/bytes'
import {
  type Descriptor,
  encryptedMediaType,
  type ImageManifest,
  isEncrypted,
  isForeignLayer,
} from '#lib/oci'
import { decryptLayer, type LayerCipher, layerCipher, publicOptionsOf } from '#lib/ocicrypt'
import { encryptLayer, type LayerRecipients, wrapLayer } from '#lib/ocicrypt/wrap'
import type { LayerSelection } from './layer-selection.ts'
import type { LayerChange, LayerTransform } from './layer-transform.ts'
import { eachManifest } from './manifests.ts'
import { ProtectError } from './protect-error.ts'
import type { ImageSource } from './transport.ts'

/** What build tools put beside images; it is not part of what runs and stays readable. */
const ATTESTATION = 'application/vnd.in-toto+json'

/** An image on its way to being encrypted. */
export interface ImageEncryption {
  /**
   * Looks at the selected layers before anything is copied. Throws `USAGE` for a position outside
   * an image, `IMAGE_MEDIA_TYPE_UNSUPPORTED` for a layer that cannot be encrypted (it is encrypted
   * already, or no file system), `IMAGE_NOT_ENCRYPTED` if there is nothing to encrypt.
   */
  check(manifests: readonly ImageManifest[]): void
  /**
   * For `copyImage`: selected layers become encrypted for all recipients, each under a key of its
   * own; all others pass.
   */
  transform(recipients: LayerRecipients): LayerTransform
  /**
   * Reads what was written and checks it: every selected layer is of an encrypted type, carries
   * its options and decrypts to what was read. Providers that failed have left images in the
   * clear with a success code before. Throws `OUTPUT_UNVERIFIED`, `IMAGE_NOT_ENCRYPTED`, and the
   * reason of the signal.
   */
  verify(written: ImageSource, signal?: AbortSignal): Promise<void>
}

interface Secret {
  readonly cipher: LayerCipher
  readonly digest: string
}

/** Encrypts the selected layers of an image: `check`, `transform`, then `verify`. */
export function encryptImage(selection: LayerSelection): ImageEncryption {
  const secrets = new Map<string, Secret>()
  return {
    check: (manifests) => checkLayers(manifests, selection),
    transform: (recipients) => (layer, place) =>
      layer.mediaType !== ATTESTATION && selection(place)
        ? encryptOne(layer, recipients, secrets)
        : undefined,
    verify: (written, signal) => verifyWritten(written, selection, secrets, signal),
  }
}

function checkLayers(manifests: readonly ImageManifest[], selection: LayerSelection): void {
  const layers = manifests.flatMap((manifest) => selected(manifest, selection))
  for (const layer of layers) {
    encryptedMediaType(layer.mediaType)
    if (isForeignLayer(layer.mediaType) && (layer.urls?.length ?? 0) > 0) {
      const found = 'it is fetched from elsewhere, where it stays readable'
      throw new ProtectError('IMAGE_NOT_ENCRYPTED', `encrypting layer ${layer.digest}: ${found}`, {
        next: 'select the other layers with --encrypt-layer',
      })
    }
  }
  if (layers.length === 0) throw nothingEncrypted()
}

function encryptOne(
  layer: Descriptor,
  recipients: LayerRecipients,
  secrets: Map<string, Secret>,
): LayerChange {
  // First, so that a type that cannot be encrypted costs no transfer.
  const mediaType = encryptedMediaType(layer.mediaType)
  let encryption: ReturnType<typeof encryptLayer> | undefined
  return {
    content: (source) => {
      encryption = encryptLayer(source)
      return encryption.ciphertext
    },
    finish: async () => {
      if (encryption === undefined) throw new TypeError('the layer was not read')
      const { publicOptions, privateOptions, digest } = encryption.result()
      const options = { public: publicOptions, private: privateOptions }
      const annotations = await wrapLayer(layer.annotations ?? {}, options, recipients)
      const cipher = layerCipher(publicOptions, privateOptions)
      secrets.set(digest, { cipher, digest: privateOptions.digest })
      return { mediaType, annotations }
    },
  }
}

async function verifyWritten(
  written: ImageSource,
  selection: LayerSelection,
  secrets: ReadonlyMap<string, Secret>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let encrypted = 0
  for await (const { manifest } of eachManifest(written)) {
    for (const layer of selected(manifest, selection)) {
      if (!isEncrypted(layer.mediaType)) {
        throw unverified(layer, `its type is ${layer.mediaType}`)
      }
      await verifyLayer(written, layer, secrets, signal)
      encrypted += 1
    }
  }
  if (encrypted === 0) throw nothingEncrypted()
}

function selected(manifest: ImageManifest, selection: LayerSelection): Descriptor[] {
  const count = manifest.layers.length
  // The type comes first: an attestation has other layers than those the selection speaks of.
  return manifest.layers.filter(
    (layer, index) => layer.mediaType !== ATTESTATION && selection({ index, count }),
  )
}

function nothingEncrypted(): ProtectError {
  const message = 'encrypting an image: it has no layer to encrypt'
  return new ProtectError('IMAGE_NOT_ENCRYPTED', message)
}

async function verifyLayer(
  written: ImageSource,
  layer: Descriptor,
  secrets: ReadonlyMap<string, Secret>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const secret = secrets.get(layer.digest)
  if (secret === undefined) throw unverified(layer, 'it is not what was encrypted')
  const { hmac } = publicOptionsOf(layer.annotations ?? {})
  if (!equalSecret(hmac, secret.cipher.hmac)) throw unverified(layer, 'its HMAC is another')
  for await (const _ of decryptLayer(written.blob(layer), secret.cipher, secret.digest)) {
    // Only the checks at the end matter.
    signal?.throwIfAborted()
  }
}

function unverified(layer: Descriptor, found: string): ProtectError {
  return new ProtectError(
    'OUTPUT_UNVERIFIED',
    `checking the encrypted layer ${layer.digest}: ${found}`,
  )
}
