import { FormatError, fromBase64, fromUtf8 } from '#lib/bytes'
import { type JsonObject, nullable, object, parseJson, string } from '#lib/json'
import type { Reference } from '#lib/oci'
import { RegistryError } from './registry-error.ts'

/** What a client shows to a registry or its token server. Never part of any message. */
export type Credential =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity-token'; readonly username?: string; readonly token: string }

/** A parsed `auth.json` / `config.json`. */
export interface AuthFile {
  /** By key as written: `host`, `host/path`, or docker's `https://index.docker.io/v1/`. */
  readonly auths: ReadonlyMap<string, Credential>
  /** Names of credential helper programs by host; we never run one. */
  readonly helpers: ReadonlyMap<string, string>
  /** Name of the helper for all other hosts. */
  readonly store: string | undefined
}

const MAX_SIZE = 1024 * 1024
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/**
 * Parses `auth.json` or docker's `config.json`, at most 1 MiB (containers-auth.json(5)). Entries
 * without usable members are skipped, as docker writes them for helpers. Throws
 * `REGISTRY_CREDENTIALS_INVALID`; the message holds nothing of the content.
 */
export function parseAuthFile(bytes: Uint8Array): AuthFile {
  try {
    const json = parseJson(bytes, { maxBytes: MAX_SIZE, name: 'credentials' })
    const file = object(json, 'credentials')
    const auths = new Map<string, Credential>()
    for (const [key, value] of Object.entries(object(file.auths ?? {}, 'auths'))) {
      const credential = parseEntry(object(value, 'an entry of auths'))
      if (credential !== undefined) auths.set(key, credential)
    }
    const helpers = Object.entries(object(file.credHelpers ?? {}, 'credHelpers'))
    return {
      auths,
      helpers: new Map(helpers.map(([host, name]) => [host, string(name, 'credHelpers')])),
      store: nullable(file.credsStore, (name) => string(name, 'credsStore')),
    }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new RegistryError(
      'REGISTRY_CREDENTIALS_INVALID',
      `reading registry credentials: ${cause.message}`,
    )
  }
}

/**
 * The credential for an image: the entry of `host/a/b`, then `host/a`, then `host`; then an
 * entry whose key, reduced to its host, is the host. Docker Hub's three names are one.
 */
export function findCredential(file: AuthFile, image: Reference): Credential | undefined {
  const hosts = DOCKER_HUB.has(image.host) ? [...DOCKER_HUB] : [image.host]
  for (const host of hosts) {
    const parts = [host, ...image.repository.split('/')]
    for (let length = parts.length; length > 0; length--) {
      const found = file.auths.get(parts.slice(0, length).join('/'))
      if (found !== undefined) return found
    }
  }
  for (const [key, credential] of file.auths) {
    if (hosts.includes(hostOfKey(key))) return credential
  }
  return undefined
}

/** The helper program that the file names for a host; undefined if it names none. */
export function credentialHelper(file: AuthFile, host: string): string | undefined {
  return file.helpers.get(host) ?? file.store
}

/** Parses `USER:PASSWORD` (split at the first colon). Throws `REGISTRY_CREDENTIALS_INVALID`. */
export function parseCredential(text: string): Credential {
  const colon = text.indexOf(':')
  if (colon <= 0) {
    throw new RegistryError(
      'REGISTRY_CREDENTIALS_INVALID',
      'reading registry credentials: USER:PASSWORD is needed',
    )
  }
  return { kind: 'password', username: text.slice(0, colon), password: text.slice(colon + 1) }
}

function parseEntry(entry: JsonObject): Credential | undefined {
  const text = (member: string): string | undefined =>
    nullable(entry[member], (value) => string(value, `auths.*.${member}`, { max: 65_536 }))
  const auth = text('auth')
  const decoded = auth ? decodeAuth(auth) : undefined
  const username = decoded?.username ?? text('username')
  const token = text('identitytoken')
  if (token) return { kind: 'identity-token', token, ...(username ? { username } : {}) }
  const password = decoded?.password ?? text('password')
  if (!username || password === undefined) return undefined
  return { kind: 'password', username, password }
}

function decodeAuth(auth: string): { username: string; password: string } {
  // Some old docker versions padded the password with NULs.
  const text = fromUtf8(fromBase64(auth, 'auths.*.auth'), 'auths.*.auth').replace(/\0+$/, '')
  const colon = text.indexOf(':')
  if (colon < 0) throw new FormatError('FORMAT_INVALID', 'auths.*.auth', 0, 'has no colon')
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

function hostOfKey(key: string): string {
  return key.replace(/^https?:\/\//, '').split('/', 1)[0] ?? ''
}
