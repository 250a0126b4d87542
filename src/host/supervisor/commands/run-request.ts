import { existsSync, readFileSync } from 'node:fs'
import type { CommandContext, CommandInput } from '#lib/command'
import { CodedError } from '#lib/errors'
import { envFileWords, envFlagWords, parseEnv } from './env-file.ts'

/** What the host asks for of a container (`HostRequest`); the owner decides. Throws CodedError USAGE. */
export function requestOf(context: CommandContext, input: CommandInput): Record<string, unknown> {
  const [, ...args] = input.operands
  const files = input.list('env-file').flatMap((file) => envFileWords(readInput(file), file))
  const env = parseEnv([...files, ...envFlagWords(input.list('env'))], context.env)
  const entrypoint = input.text('entrypoint')
  const [user, workdir] = [input.text('user'), input.text('workdir')]
  return {
    ...(args.length === 0 ? {} : { args }),
    ...(entrypoint === undefined ? {} : { entrypoint: entrypoint === '' ? [] : [entrypoint] }),
    ...(Object.keys(env).length === 0 ? {} : { env }),
    ...(user === undefined ? {} : { user }),
    ...(workdir === undefined ? {} : { workdir }),
    scratch: scratchOf(input.text('scratch')),
    network: 'host',
    explain: input.flag('explain'),
    resolvConf: readOptional('/etc/resolv.conf'),
    hosts: readOptional('/etc/hosts'),
  }
}

function scratchOf(text: string | undefined): { kind: 'tmpfs'; size?: number } {
  if (text === undefined || text === 'tmpfs') return { kind: 'tmpfs' }
  if (text === 'disk' || text.startsWith('disk:')) {
    throw new CodedError('FEATURE_NOT_BUILT', '--scratch disk is not built yet')
  }
  const match = /^tmpfs:(\d{1,12})([kmg]?)$/i.exec(text)
  if (match === null) throw new CodedError('USAGE', `--scratch ${text}: tmpfs or tmpfs:SIZE`)
  const factor = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[match[2]?.toLowerCase() ?? ''] ?? 1
  const size = Number(match[1]) * factor
  if (size === 0 || !Number.isSafeInteger(size)) {
    throw new CodedError('USAGE', `--scratch ${text}: no such size`)
  }
  return { kind: 'tmpfs', size }
}

/** Refuses flags of docker that this version does not have. Throws CodedError FEATURE_NOT_BUILT. */
export function refuseUnbuilt(input: CommandInput): void {
  for (const flag of ['interactive', 'tty']) {
    if (input.flag(flag)) throw new CodedError('FEATURE_NOT_BUILT', `--${flag} is not built yet`)
  }
  for (const flag of ['volume', 'publish']) {
    if (input.list(flag).length > 0) {
      throw new CodedError('FEATURE_NOT_BUILT', `--${flag} is not built yet`)
    }
  }
  const network = input.text('network') ?? 'host'
  if (network !== 'host') {
    throw new CodedError('FEATURE_NOT_BUILT', `--network ${network} is not built yet, only host`)
  }
}

/** `--stop-timeout` in seconds. Throws CodedError USAGE. */
export function stopSeconds(text: string | undefined): number {
  if (text === undefined) return 10
  if (!/^\d{1,6}$/.test(text)) throw new CodedError('USAGE', `--stop-timeout ${text}: seconds`)
  return Number(text)
}

function readInput(file: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new CodedError('INPUT_UNREADABLE', `reading ${file} failed`, { cause })
  }
}

function readOptional(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}
