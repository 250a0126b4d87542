import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { concat, FormatError, fromUtf8, toBase64, utf8 } from '#lib/bytes'
import { array, base64, object, parseJson, string } from '#lib/json'
import { AttestError, malformed } from '../attest-error.ts'
import { collateralObject, parseCollateral } from './collateral.ts'
import { readTime } from './collateral-fields.ts'
import type { CollateralSet } from './collateral-set.ts'

/** Name and version of the format; also what separates its signatures from all others. */
export const COLLATERAL_BUNDLE = 'enclave-cc/collateral-bundle/1'

/** A bundle of 64 sets of Intel has 3 MB. */
export const MAX_COLLATERAL_BUNDLE = 16_777_216

const MAX_SETS = 256

/** Collateral of many platforms, signed by its owner for machines without a network. */
export interface CollateralBundle {
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly sets: readonly CollateralSet[]
}

/**
 * Encodes and signs a bundle (docs/formats/collateral.md). `privateKey` is PEM, Ed25519 or EC P-256.
 * Throws AttestError COLLATERAL_KEY.
 */
export function signCollateralBundle(bundle: CollateralBundle, privateKey: string): Uint8Array {
  const key = readKey(() => createPrivateKey(privateKey))
  const payload = utf8(
    JSON.stringify({
      createdAt: new Date(bundle.createdAt).toISOString().replace(/\.\d{3}Z$/, 'Z'),
      sets: bundle.sets.map((set) => ({
        ...collateralObject(set),
        pckCrlIssuerChain: fromUtf8(set.pckCrlIssuerChain, 'pckCrlIssuerChain'),
      })),
    }),
  )
  return utf8(
    `${JSON.stringify({
      format: COLLATERAL_BUNDLE,
      keyId: keyIdOf(createPublicKey(privateKey)),
      payload: toBase64(payload),
      signature: toBase64(signMessage(key, payload)),
    })}\n`,
  )
}

/**
 * Verifies a bundle under the owner's public key (PEM), then reads what was signed. The sets are as
 * good as that key; their own signatures are still to be verified.
 * Throws AttestError COLLATERAL_KEY, COLLATERAL_BUNDLE_FORMAT, COLLATERAL_BUNDLE_SIGNATURE.
 */
export function openCollateralBundle(bytes: Uint8Array, publicKey: string): CollateralBundle {
  const key = readKey(() => createPublicKey(publicKey))
  try {
    const file = object(
      parseJson(bytes, { maxBytes: MAX_COLLATERAL_BUNDLE, name: 'collateral bundle' }),
      'collateral bundle',
      ['format', 'keyId', 'payload', 'signature'],
    )
    const format = string(file.format, 'format')
    if (format !== COLLATERAL_BUNDLE) {
      throw new FormatError('FORMAT_INVALID', 'format', 0, `is not ${COLLATERAL_BUNDLE}`)
    }
    string(file.keyId, 'keyId', { max: 128 })
    const payload = base64(file.payload, 'payload')
    if (!verifyMessage(key, payload, base64(file.signature, 'signature'))) {
      throw new AttestError('COLLATERAL_BUNDLE_SIGNATURE', 'opening a bundle: signature not good', {
        field: 'signature',
        expected: keyIdOf(key),
        actual: string(file.keyId, 'keyId'),
      })
    }
    return readPayload(payload)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw malformed('COLLATERAL_BUNDLE_FORMAT', 'reading a bundle', cause, {
      expected: `${COLLATERAL_BUNDLE} (docs/formats/collateral.md)`,
    })
  }
}

function readPayload(payload: Uint8Array): CollateralBundle {
  const document = object(
    parseJson(payload, { maxBytes: MAX_COLLATERAL_BUNDLE, name: 'payload' }),
    'payload',
    ['createdAt', 'sets'],
  )
  return {
    createdAt: readTime(document.createdAt, 'createdAt'),
    sets: array(document.sets, 'sets', MAX_SETS).map((item, i) => {
      const { pckCrlIssuerChain, ...rest } = object(item, `sets[${i}]`)
      const chain = utf8(string(pckCrlIssuerChain, `sets[${i}].pckCrlIssuerChain`))
      return { ...parseCollateral(rest), pckCrlIssuerChain: chain }
    }),
  }
}

/** SHA-256 of the SubjectPublicKeyInfo: names a key to people, proves nothing. */
function keyIdOf(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' })
  return `sha256:${createHash('sha256').update(spki).digest('hex')}`
}

function message(payload: Uint8Array): Uint8Array {
  return concat(utf8(COLLATERAL_BUNDLE), new Uint8Array(1), payload)
}

function signMessage(key: KeyObject, payload: Uint8Array): Uint8Array {
  if (key.asymmetricKeyType === 'ed25519') return sign(null, message(payload), key)
  return sign('sha256', message(payload), { key, dsaEncoding: 'ieee-p1363' })
}

function verifyMessage(key: KeyObject, payload: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false
  if (key.asymmetricKeyType === 'ed25519') return verify(null, message(payload), key, signature)
  return verify('sha256', message(payload), { key, dsaEncoding: 'ieee-p1363' }, signature)
}

/** The kind of key decides the algorithm: a bundle cannot choose a weaker one. */
function readKey(read: () => KeyObject): KeyObject {
  let key: KeyObject
  try {
    key = read()
  } catch (cause) {
    throw refusedKey('it is no PEM key of the kind that is needed', cause)
  }
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (key.asymmetricKeyType === 'ed25519') return key
  if (key.asymmetricKeyType === 'ec' && curve === 'prime256v1') return key
  throw refusedKey(`it is ${curve ?? key.asymmetricKeyType}`)
}

function refusedKey(found: string, cause?: unknown): AttestError {
  return new AttestError('COLLATERAL_KEY', `reading the key of a bundle: ${found}`, {
    field: 'key',
    expected: 'Ed25519 or EC P-256',
    actual: found,
    cause,
  })
}
