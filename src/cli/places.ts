import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'smol-toml'
import type { Places } from '#lib/command'
import { CodedError } from '#lib/errors'

type Env = Readonly<Record<string, string | undefined>>

const CONFIG_DEFAULT = '/etc/enclave-cc/config.toml'
const KEYS = [
  'root',
  'state',
  'kbs-data',
  'kbs-url',
  'kbs-ca',
  'init-data',
  'admin-token-file',
] as const
type Key = (typeof KEYS)[number]

const VARIABLE: Readonly<Record<Key, string>> = {
  root: 'ENCLAVE_CC_ROOT',
  state: 'ENCLAVE_CC_STATE',
  'kbs-data': 'ENCLAVE_CC_KBS_DATA',
  'kbs-url': 'ENCLAVE_CC_KBS_URL',
  'kbs-ca': 'ENCLAVE_CC_KBS_CA',
  'init-data': 'ENCLAVE_CC_INIT_DATA',
  'admin-token-file': 'ENCLAVE_CC_ADMIN_TOKEN_FILE',
}

/**
 * Resolves each place: flag, then environment, then configuration file, then default.
 * A configuration file with an unknown key is refused; a missing default file is none. Paths come out
 * absolute: supervisors, which get them too, work in another directory.
 */
export function resolvePlaces(flag: (name: string) => string | undefined, env: Env): Places {
  const config = readConfig(flag('config') ?? (env.ENCLAVE_CC_CONFIG || undefined))
  const value = (key: Key): string | undefined => {
    const found = flag(key) ?? (env[VARIABLE[key]] || undefined) ?? config[key]
    if (found === '') throw new CodedError('USAGE', `${key} is empty`)
    return found
  }
  const path = (key: Key): string | undefined => {
    const found = value(key)
    return found === undefined ? undefined : resolve(found)
  }
  return Object.freeze({
    root: path('root') ?? '/var/lib/enclave-cc',
    state: path('state') ?? '/run/enclave-cc',
    kbsData: path('kbs-data') ?? '/var/lib/enclave-cc-kbs',
    kbsUrl: value('kbs-url'),
    kbsCa: path('kbs-ca'),
    initData: path('init-data') ?? '/etc/enclave-cc/init-data.toml',
    adminTokenFile: path('admin-token-file'),
  })
}

function readConfig(named: string | undefined): Partial<Record<Key, string>> {
  const file = named ?? CONFIG_DEFAULT
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    if (named === undefined && (cause as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new CodedError('INPUT_UNREADABLE', `reading configuration ${file} failed`, { cause })
  }
  let document: Record<string, unknown>
  try {
    document = parse(text)
  } catch (cause) {
    throw new CodedError('USAGE', `${file} is not TOML`, { cause })
  }
  for (const [key, value] of Object.entries(document)) {
    if (!KEYS.includes(key as Key)) throw new CodedError('USAGE', `${file}: unknown key ${key}`)
    if (typeof value !== 'string') throw new CodedError('USAGE', `${file}: ${key} must be a string`)
  }
  return document as Partial<Record<Key, string>>
}
