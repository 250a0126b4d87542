import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, isIP } from 'node:net'
import { join } from 'node:path'
import { fromBase64Url, toBase64Url, toHex } from '#lib/bytes'
import { object, optional, parseJson, string, strings } from '#lib/json'
import { splitPem } from '#lib/x509'
import {
  certificatePem,
  issueCertificate,
  type KeyPair,
  newKeyPair,
  spkiPin,
} from './certificates.ts'
import { KbsError } from './kbs-error.ts'

const DAY = 86_400_000
const LEAF_DAYS = 397
const ROOT_DAYS = 3652

/** Files of a broker's data directory, relative to it. */
export const FILES = {
  config: 'broker.json',
  database: 'kbs.db',
  adminToken: 'admin.token',
  tokenKey: 'keys/token.key',
  tokenCertificate: 'keys/token.pem',
  auditKey: 'keys/audit.key',
  auditPublicKey: 'keys/audit.pub.pem',
  storageKey: 'keys/storage.key',
  authorityKey: 'tls/ca.key',
  authority: 'tls/ca.pem',
  serverKey: 'tls/server.key',
  server: 'tls/server.pem',
} as const

/** What `broker.json` holds: public facts that outlive a restart. */
export interface BrokerConfig {
  /** Identity of this broker: audience and issuer of its tokens. */
  readonly id: string
  /** `address:port` to listen on. */
  readonly listen: string
  /** As clients reach it; goes into init-data. */
  readonly url: string
  /** The owner named the URL; it does not follow the address that is listened on. */
  readonly fixedUrl?: boolean
  /** Names and addresses of the TLS certificate. */
  readonly names: readonly string[]
  /** SPKI pin of the certificate that was served last, where it is not the broker's own. */
  readonly pin?: string
}

/** Everything that `kbs serve` needs from the data directory. */
export interface BrokerKeys {
  readonly config: BrokerConfig
  readonly token: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }
  /** DER of the certificates of the token key, leaf first. */
  readonly tokenChain: readonly Uint8Array[]
  readonly audit: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }
  readonly storageKey: Uint8Array
  readonly tls: { readonly key: string; readonly certificate: string }
  /** SPKI pin of the TLS key. */
  readonly pin: string
}

/** Options of `initDataDir`. */
export interface InitOptions {
  readonly listen: string
  readonly url: string
  readonly fixedUrl?: boolean
  readonly names: readonly string[]
  /** Milliseconds since 1970. */
  readonly now: number
}

/**
 * Makes keys, certificates and the admin token in an empty or missing directory, or in one where
 * an earlier attempt was cut off. The configuration is written last, so that a directory with one
 * is complete. Returns the admin token. Throws KbsError KBS_INITIALISED if there is anything else.
 */
export async function initDataDir(dir: string, options: InitOptions): Promise<string> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  // Of two at once one would take the other's half-made keys for those of one that was cut off.
  await using _ = await lockDirectory(dir)
  if (!(await isVacant(dir))) {
    throw new KbsError('KBS_INITIALISED', `making a broker in ${dir}: it is not empty`)
  }
  await chmod(dir, 0o700)
  for (const part of PARTS) {
    await rm(join(dir, part), { recursive: true, force: true })
    await mkdir(join(dir, part), { mode: 0o700 })
  }
  await rm(join(dir, FILES.adminToken), { force: true })
  // Flushed: values in the database, which is, would be lost with a key that is not.
  const write = (file: string, text: string, mode = 0o600): Promise<void> =>
    writeFile(join(dir, file), text, { mode, flag: 'wx', flush: true })

  const id = `enclave-cc-kbs-${toHex(randomBytes(8))}`
  const authority = { subject: `${id} CA`, ...newKeyPair() }
  const root = issueCertificate({
    subject: authority.subject,
    publicKey: authority.publicKey,
    issuer: authority,
    use: 'authority',
    notBefore: options.now - DAY,
    notAfter: options.now + ROOT_DAYS * DAY,
  })
  await write(FILES.authority, certificatePem(root), 0o644)
  await write(FILES.authorityKey, privatePem(authority.privateKey))

  const server = newKeyPair()
  await write(FILES.serverKey, privatePem(server.privateKey))
  const certificate = serverCertificate(server.publicKey, authority, options.names, options.now)
  await write(FILES.server, certificate, 0o644)

  const token = newKeyPair()
  await write(FILES.tokenKey, privatePem(token.privateKey))
  const signer = issueCertificate({
    subject: `${id} token signer`,
    publicKey: token.publicKey,
    issuer: authority,
    use: 'signer',
    notBefore: options.now - DAY,
    notAfter: options.now + ROOT_DAYS * DAY,
  })
  await write(FILES.tokenCertificate, certificatePem(signer) + certificatePem(root), 0o644)

  const audit = generateKeyPairSync('ed25519')
  await write(FILES.auditKey, privatePem(audit.privateKey))
  await write(FILES.auditPublicKey, publicPem(audit.publicKey), 0o644)
  await write(FILES.storageKey, `${toBase64Url(randomBytes(32))}\n`)

  const adminToken = newAdminToken()
  await write(FILES.adminToken, `${adminToken}\n`)
  const { listen, url, names, fixedUrl } = options
  const config: BrokerConfig = { id, listen, url, names, ...(fixedUrl === true && { fixedUrl }) }
  await write(FILES.config, `${JSON.stringify(config, null, 2)}\n`, 0o644)
  return adminToken
}

const PARTS = ['keys', 'tls']

// A name in the kernel, not a file: it goes with the process, however that ends.
async function lockDirectory(dir: string): Promise<AsyncDisposable> {
  const { dev, ino } = await stat(dir)
  const lock = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      lock.once('error', reject)
      lock.listen(`\0enclave-cc-kbs-init-${dev}-${ino}`, resolve)
    })
  } catch (cause) {
    const found = 'another process is about it'
    throw new KbsError('KBS_INITIALISED', `making a broker in ${dir}: ${found}`, { cause })
  }
  return {
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => lock.close(() => resolve())),
  }
}

// Without configuration and database nothing has ever used these keys.
async function isVacant(dir: string): Promise<boolean> {
  const made: readonly string[] = Object.values(FILES)
  for (const name of await readdir(dir)) {
    if (name === FILES.adminToken) continue
    if (!PARTS.includes(name)) return false
    const inside = await readdir(join(dir, name))
    if (!inside.every((file) => made.includes(`${name}/${file}`))) return false
  }
  return true
}

/** A fresh admin token; the prefix makes it findable for secret scanners. */
export function newAdminToken(): string {
  return `ecc-admin-${toBase64Url(randomBytes(32))}`
}

/** Reads the public facts of a broker. Throws KbsError KBS_NOT_INITIALISED. */
export async function readConfig(dir: string): Promise<BrokerConfig> {
  let text: Uint8Array
  try {
    text = await readFile(join(dir, FILES.config))
  } catch (cause) {
    throw new KbsError('KBS_NOT_INITIALISED', `opening the broker in ${dir}: there is none`, {
      cause,
    })
  }
  const config = object(parseJson(text), FILES.config, [
    'id',
    'listen',
    'url',
    'fixedUrl',
    'names',
    'pin',
  ])
  const pin = optional(config.pin, (v) => string(v, 'pin', { max: 64 }))
  return {
    id: string(config.id, 'id', { max: 128 }),
    listen: string(config.listen, 'listen', { max: 256 }),
    url: string(config.url, 'url', { max: 512 }),
    names: strings(config.names, 'names', { maxItems: 64, max: 253 }),
    ...(config.fixedUrl === true ? { fixedUrl: true } : {}),
    ...(pin === undefined ? {} : { pin }),
  }
}

/** Replaces the public facts of a broker. */
export async function writeConfig(dir: string, config: BrokerConfig): Promise<void> {
  const file = join(dir, FILES.config)
  const text = `${JSON.stringify(config, null, 2)}\n`
  await writeFile(`${file}.new`, text, { mode: 0o644, flush: true })
  await rename(`${file}.new`, file)
}

/**
 * Reads the keys of a broker. A TLS certificate that ends within 30 days is renewed with the
 * same key, so that pins in init-data stay good. Throws KbsError KBS_NOT_INITIALISED.
 */
export async function readKeys(dir: string, now: number): Promise<BrokerKeys> {
  const config = await readConfig(dir)
  const read = (file: string): Promise<string> => readFile(join(dir, file), 'utf8')
  const pair = async (file: string): Promise<KeyPair> => {
    const privateKey = createPrivateKey(await read(file))
    return { privateKey, publicKey: createPublicKey(privateKey) }
  }
  const key = await read(FILES.serverKey)
  const server = await pair(FILES.serverKey)
  let certificate = await read(FILES.server)
  if (Date.parse(new X509Certificate(certificate).validTo) - now < 30 * DAY) {
    const authority = { subject: `${config.id} CA`, ...(await pair(FILES.authorityKey)) }
    certificate = serverCertificate(server.publicKey, authority, config.names, now)
    await writeFile(join(dir, `${FILES.server}.new`), certificate, {
      mode: 0o644,
      flush: true,
    })
    await rename(join(dir, `${FILES.server}.new`), join(dir, FILES.server))
  }
  return {
    config,
    token: await pair(FILES.tokenKey),
    tokenChain: splitPem(await read(FILES.tokenCertificate), 'CERTIFICATE', 4),
    audit: await pair(FILES.auditKey),
    storageKey: fromBase64Url((await read(FILES.storageKey)).trim(), 'storage key', 32),
    tls: { key, certificate: certificate + (await read(FILES.authority)) },
    pin: spkiPin(server.publicKey),
  }
}

/** SPKI pin of the first certificate of a PEM text. */
export function pinOfCertificate(pem: string | Uint8Array): string {
  return spkiPin(new X509Certificate(pem).publicKey)
}

/** The names a certificate should carry for a broker reached at `url` and listening at `listen`. */
export function certificateNames(url: string, listen: string, more: readonly string[]): string[] {
  const bare = (host: string): string => host.replace(/^\[|\]$/g, '')
  const address = bare(listen.slice(0, listen.lastIndexOf(':')))
  const any = address === '0.0.0.0' || address === '::'
  const names = [bare(new URL(url).hostname), ...(any ? [] : [address])]
  return [...new Set([...names, ...more, 'localhost', '127.0.0.1', '::1'])].filter(
    (name) => isIP(name) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(name),
  )
}

function serverCertificate(
  publicKey: KeyObject,
  authority: KeyPair & { readonly subject: string },
  names: readonly string[],
  now: number,
): string {
  const certificate = issueCertificate({
    subject: names[0] ?? 'localhost',
    publicKey,
    issuer: authority,
    use: 'server',
    names,
    notBefore: now - DAY,
    notAfter: now + LEAF_DAYS * DAY,
  })
  return certificatePem(certificate)
}

function privatePem(key: KeyObject): string {
  return String(key.export({ type: 'pkcs8', format: 'pem' }))
}

function publicPem(key: KeyObject): string {
  return String(key.export({ type: 'spki', format: 'pem' }))
}
