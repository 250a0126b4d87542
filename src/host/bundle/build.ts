import { createPrivateKey, type KeyObject } from 'node:crypto'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '#lib/bytes'
import {
  type EnclaveManifest,
  type EnclaveProgram,
  ManifestError,
  mrEnclave,
  mrSigner,
  type Peers,
  type QuoteHandover,
  signedManifestBytes,
  signManifest,
} from '#lib/manifest'
import { lockFile } from '#platform/lock'
import { bundleContents, type ContentSources } from './contents.ts'
import { DEVELOPMENT_KEY } from './development-key.ts'
import { hashFile, writeImage } from './image.ts'
import { AGENT_PROD_ID, BUILT_AT, INIT_PROD_ID, ISV_SVN } from './release.ts'

/** Options of `buildBundle`. */
export interface BuildOptions extends ContentSources {
  readonly out: string
  /** PEM of an RSA-3072 key with exponent 3; default: the public development key. */
  readonly signKey?: string
  /** Unix seconds; default: the release's. */
  readonly builtAt?: number
  /** Build enclaves whose memory the host may read, for debugging; owners refuse them by default. */
  readonly debug?: boolean
  /** Quotes in place of local reports in the handover: a constant of both enclaves. */
  readonly handover?: QuoteHandover
  /** Gives the build up; nothing of it is left then. */
  readonly signal?: AbortSignal
}

const NODE_FLAGS = [
  '--disable-sigusr1',
  '--disable-proto=throw',
  '--openssl-config=/dev/null',
  '--no-addons',
  '--disable-warning=ExperimentalWarning',
]

// Memory is what a node pays for each pod: young objects are collected sooner, WebAssembly is compiled
// once and simply, and background threads of the compiler are few.
const SMALL = ['--max-semi-space-size=2', '--v8-pool-size=1']
const PROGRAM_FLAGS: Readonly<Record<EnclaveProgram, readonly string[]>> = {
  agent: [...SMALL, '--liftoff-only'],
  init: SMALL,
}

/**
 * Builds a bundle: the image, then init's manifest, then the agent's, which names init's measurement.
 * The same inputs give the same bytes. Files appear under their names only when all are whole; of two
 * builds into one folder the second waits. Throws BundleError, ManifestError or the signal's reason.
 */
export async function buildBundle(options: BuildOptions): Promise<void> {
  const { out, builtAt = BUILT_AT } = options
  const key = signingKey(options.signKey ?? DEVELOPMENT_KEY)
  // Before minutes are spent on an image: refuses a key that cannot sign.
  const signer = toHex(mrSigner(signManifest(probe(), key).signer))
  mkdirSync(out, { recursive: true })
  const lock = join(out, '.lock')
  using _lock = lockFile(lock, 'exclusive')
  const image = join(out, '.bundle.erofs.new')
  rmSync(image, { force: true })
  try {
    await writeImage(image, bundleContents(options), builtAt, options.signal)
    const digest = hashFile(image)
    const manifest = (program: EnclaveProgram, peers: Peers): EnclaveManifest => ({
      version: 1,
      program,
      image: digest,
      entry: '/usr/bin/node',
      args: [...NODE_FLAGS, ...PROGRAM_FLAGS[program], `/usr/lib/enclave-cc/${program}.cjs`],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', UV_THREADPOOL_SIZE: '8' },
      attributes: { debug: options.debug === true },
      isvProdId: program === 'agent' ? AGENT_PROD_ID : INIT_PROD_ID,
      isvSvn: ISV_SVN,
      builtAt,
      peers,
      ...(options.handover && { handover: options.handover }),
    })
    const init = manifest('init', {
      agent: { mrSigner: signer, isvProdId: AGENT_PROD_ID, minIsvSvn: ISV_SVN },
    })
    const agent = manifest('agent', { init: { mrEnclave: toHex(mrEnclave(init)) } })
    write(out, 'init', init, key)
    write(out, 'agent', agent, key)
    renameSync(image, join(out, 'bundle.erofs'))
  } finally {
    rmSync(image, { force: true })
    rmSync(lock, { force: true })
  }
}

function signingKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    const next = 'make one with: openssl genrsa -3 -out signer.pem 3072'
    const found = 'reading the signing key: it is no private key, or an encrypted one'
    throw new ManifestError('MANIFEST_INVALID', found, { cause, next })
  }
}

function write(out: string, name: string, manifest: EnclaveManifest, key: KeyObject): void {
  const file = join(out, `${name}.json`)
  writeFileSync(`${file}.new`, signedManifestBytes(signManifest(manifest, key)))
  renameSync(`${file}.new`, file)
}

// The signer's modulus comes with any signature; this one is thrown away.
function probe(): EnclaveManifest {
  return {
    version: 1,
    program: 'agent',
    image: { sha256: '00'.repeat(32), size: 1 },
    entry: '/usr/bin/node',
    args: [],
    env: {},
    attributes: { debug: false },
    isvProdId: 0,
    isvSvn: 0,
    builtAt: 0,
    peers: { init: { mrEnclave: '00'.repeat(32) } },
  }
}
