import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'smol-toml'
import { type CacheSettings, type Places, type PoolSettings, parseByteSize } from '#lib/command'
import { CodedError } from '#lib/errors'

type Env = Readonly<Record<string, string | undefined>>

const CONFIG_DEFAULT = '/etc/enclave-cc/config.toml'
const CACHE_MAX_SIZE = '20G'
const KEYS = [
  'root',
  'state',
  'kbs-data',
  'kbs-url',
  'kbs-ca',
  'init-data',
  'admin-token-file',
  'cache-max-size',
  'pool-size',
  'pool-linger',
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
  'cache-max-size': 'ENCLAVE_CC_CACHE_MAX_SIZE',
  'pool-size': 'ENCLAVE_CC_POOL_SIZE',
  'pool-linger': 'ENCLAVE_CC_POOL_LINGER',
}

const MAX_POOL = 64
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Where things are, and how many enclaves and sealed layers are kept. */
export interface Settings {
  readonly places: Places
  readonly pool: PoolSettings
  readonly cache: CacheSettings
}

/**
 * Resolves each setting: flag, then environment, then configuration file, then default.
 * A configuration file with an unknown key is refused; a missing default file is none. Paths come out
 * absolute: supervisors, which get them too, work in another directory.
 */
export function resolveSettings(flag: (name: string) => string | undefined, env: Env): Settings {
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
  const places = Object.freeze({
    root: path('root') ?? '/var/lib/enclave-cc',
    state: path('state') ?? '/run/enclave-cc',
    kbsData: path('kbs-data') ?? '/var/lib/enclave-cc-kbs',
    kbsUrl: value('kbs-url'),
    kbsCa: path('kbs-ca'),
    initData: path('init-data') ?? '/etc/enclave-cc/init-data.toml',
    adminTokenFile: path('admin-token-file'),
  })
  const size = poolSize(value('pool-size') ?? '1')
  return {
    places,
    pool: Object.freeze({ size, linger: linger(value('pool-linger') ?? '0s') }),
    cache: Object.freeze({ maxSize: byteSize(value('cache-max-size') ?? CACHE_MAX_SIZE) }),
  }
}

function poolSize(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= MAX_POOL) return Number(text)
  throw new CodedError('USAGE', `pool-size ${JSON.stringify(text)}: 0 to ${MAX_POOL}`)
}

function linger(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,6})(ms|s|m|h)$/.exec(text) ?? []
  const milliseconds = Number(count) * (UNITS[unit] ?? Number.NaN)
  if (Number.isSafeInteger(milliseconds)) return milliseconds
  throw new CodedError(
    'USAGE',
    `pool-linger ${JSON.stringify(text)}: a number and ms, s, m or h, as 10m`,
  )
}

function byteSize(text: string): number {
  const size = parseByteSize(text)
  if (size !== undefined) return size
  throw new CodedError('USAGE', `cache-max-size ${JSON.stringify(text)}: a size, as 500M or 20G`)
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
    if (key === 'pool-size' && Number.isSafeInteger(value)) document[key] = String(value)
    else if (typeof value !== 'string')
      throw new CodedError('USAGE', `${file}: ${key} must be a string`)
  }
  return document as Partial<Record<Key, string>>
}
