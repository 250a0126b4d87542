import { FormatError, fromUtf8 } from '#lib/bytes'
import type { ResolvedUser } from '#lib/launch'
import { InitError } from './init-error.ts'

/** A line of passwd(5), as far as a launch needs it. */
interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** A line of group(5). */
interface Group {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

/** Largest `/etc/passwd` and `/etc/group`, in bytes. */
export const MAX_ACCOUNTS_BYTES: number = 1024 * 1024

const NAME = /^[^:,\s\0]{1,255}$/
// The last value means "no change" to the kernel.
const MAX_ID = 0xfffffffe

/**
 * Resolves `USER[:GROUP]` with the files of the image, as the OCI image specification has it: names
 * and numbers, numbers need no entry; supplementary groups only where no group is named. An empty
 * user is root. Lines that are not well formed are skipped, the first match counts.
 */
export function resolveUser(
  user: string,
  files: { readonly passwd: Uint8Array | undefined; readonly group: Uint8Array | undefined },
): ResolvedUser {
  const [userPart = '', groupPart, ...rest] = user.split(':')
  if (rest.length > 0 || groupPart === '') throw unknown('user', user)
  const accounts = lines(files.passwd).flatMap(account)
  const groups = lines(files.group).flatMap(group)
  const wanted = userPart === '' ? '0' : userPart
  const found =
    accounts.find(({ name }) => name === wanted) ??
    accounts.find(({ uid }) => String(uid) === wanted)
  const uid = found?.uid ?? id(wanted)
  if (uid === undefined) throw unknown('user', userPart)
  if (groupPart !== undefined) {
    const named = groups.find(({ name }) => name === groupPart)?.gid ?? id(groupPart)
    if (named === undefined) throw unknown('group', groupPart)
    return { uid, gid: named, additionalGids: [] }
  }
  const gid = found?.gid ?? 0
  const member = found?.name
  const additional = groups
    .filter((entry) => member !== undefined && entry.members.includes(member) && entry.gid !== gid)
    .map((entry) => entry.gid)
  return { uid, gid, additionalGids: [...new Set(additional)] }
}

function account(line: string): Account[] {
  const fields = line.split(':')
  const [name = '', , uidField = '', gidField = ''] = fields
  const [uid, gid] = [id(uidField), id(gidField)]
  if (fields.length !== 7 || !NAME.test(name) || uid === undefined || gid === undefined) return []
  return [{ name, uid, gid }]
}

function group(line: string): Group[] {
  const fields = line.split(':')
  const [name = '', , gidField = '', members = ''] = fields
  const gid = id(gidField)
  if (fields.length !== 4 || !NAME.test(name) || gid === undefined) return []
  return [{ name, gid, members: members.split(',').filter((member) => NAME.test(member)) }]
}

function id(text: string): number | undefined {
  if (!/^(0|[1-9]\d{0,9})$/.test(text)) return undefined
  const value = Number(text)
  return value <= MAX_ID ? value : undefined
}

function lines(bytes: Uint8Array | undefined): string[] {
  if (bytes === undefined) return []
  try {
    return fromUtf8(bytes, 'accounts of the image').split('\n')
  } catch (error) {
    // Names in another encoding: numbers still work.
    if (error instanceof FormatError) return []
    throw error
  }
}

function unknown(kind: 'user' | 'group', name: string): InitError {
  const shown = /^[\w.-]{1,64}$/.test(name) ? ` ${name}` : ''
  return new InitError('LAUNCH_USER_UNKNOWN', `resolving the ${kind}${shown}: the image has none`)
}
