import type { KeyObject } from 'node:crypto'
import { toBase64 } from '#lib/bytes'
import { base64, integer, object, parseJson } from '#lib/json'
import { encodePrivateKey, parsePrivateKey } from './pki/key-pairs.ts'
import type { Role } from './pki/names.ts'
import { PlatformError } from './platform-error.ts'
import { readPrivate } from './private-directory.ts'

/** Keys of the simulated manufacturer. Read only when something must be issued. */
export type AuthorityKeys = Readonly<Record<Role, KeyObject>>

/** Its name in the platform directory. */
export const AUTHORITY_FILE = 'authority.json'

/** Reads the keys of a platform. PlatformError PLATFORM_DAMAGED. */
export function readAuthority(directory: string): AuthorityKeys {
  const damaged = (found: string, cause?: unknown): PlatformError =>
    new PlatformError('PLATFORM_DAMAGED', `opening ${directory}: ${AUTHORITY_FILE} ${found}`, {
      cause,
    })
  const bytes = readPrivate(directory, AUTHORITY_FILE)
  if (bytes === undefined) throw damaged('is missing')
  try {
    return parseAuthorityFile(bytes)
  } catch (cause) {
    throw damaged('cannot be read', cause)
  }
}

/** Text of the file. It holds secrets. */
export function encodeAuthorityFile(keys: AuthorityKeys): string {
  const text = (key: KeyObject): string => toBase64(encodePrivateKey(key))
  return `${JSON.stringify({
    version: 1,
    root: text(keys.root),
    pckCa: text(keys.pckCa),
    tcbSigner: text(keys.tcbSigner),
    pck: text(keys.pck),
  })}\n`
}

/** Reads the file. FormatError or TypeError for anything that this version did not write. */
export function parseAuthorityFile(bytes: Uint8Array): AuthorityKeys {
  const file = object(parseJson(bytes, { name: AUTHORITY_FILE }), AUTHORITY_FILE)
  integer(file.version, 'version', 1, 1)
  return {
    root: parsePrivateKey(base64(file.root, 'root')),
    pckCa: parsePrivateKey(base64(file.pckCa, 'pckCa')),
    tcbSigner: parsePrivateKey(base64(file.tcbSigner, 'tcbSigner')),
    pck: parsePrivateKey(base64(file.pck, 'pck')),
  }
}
