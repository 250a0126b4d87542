import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '#lib/bytes'
import { mrEnclave, mrSigner } from '#lib/manifest'
import { readBundle, type SignedBundle } from '../launcher/signed-bundle.ts'
import { BundleError } from './bundle-error.ts'
import { hashFile, type ImageFile, listImage } from './image.ts'

/** Document of `bundle measure --json`. */
export interface Measurement {
  readonly image: { readonly sha256: string; readonly size: number }
  readonly enclaves: readonly EnclaveMeasurement[]
  readonly files: readonly ImageFile[]
}

/** One enclave's identity, hex. */
export interface EnclaveMeasurement {
  readonly program: 'agent' | 'init'
  readonly mrEnclave: string
  readonly mrSigner: string
  readonly isvProdId: number
  readonly isvSvn: number
  readonly debug: boolean
  /** How it proves itself in the handover. */
  readonly handover: 'report' | 'quote'
  /** `sha256:…`; MRENCLAVE is this digest. */
  readonly manifestDigest: string
}

/**
 * Predicts the identity of a bundle's enclaves without starting anything, and lists its files. Throws
 * CodedError where the bundle is not whole.
 */
export function measureBundle(dir: string): Measurement {
  const bundle = readBundle(dir)
  const file = join(dir, 'bundle.erofs')
  if (!existsSync(file)) throw new BundleError('BUNDLE_MISSING', `${file} is missing`)
  const image = hashFile(file)
  const expected = bundle.agent.manifest.image
  if (image.sha256 !== expected.sha256 || image.size !== expected.size) {
    throw new BundleError('BUNDLE_IMAGE_MISMATCH', `${file} is not the image of its manifests`, {
      details: { expected: expected.sha256, actual: image.sha256 },
    })
  }
  return { image, enclaves: enclaves(bundle), files: listImage(file) }
}

function enclaves(bundle: SignedBundle): readonly EnclaveMeasurement[] {
  return (['agent', 'init'] as const).map((program) => {
    const { manifest, signer } = bundle[program]
    const digest = toHex(mrEnclave(manifest))
    return {
      program,
      mrEnclave: digest,
      mrSigner: toHex(mrSigner(signer)),
      isvProdId: manifest.isvProdId,
      isvSvn: manifest.isvSvn,
      debug: manifest.attributes.debug,
      handover: manifest.handover?.form ?? 'report',
      manifestDigest: `sha256:${digest}`,
    }
  })
}
