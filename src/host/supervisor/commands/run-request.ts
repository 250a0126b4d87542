import { existsSync, readFileSync } from 'node:fs'
import type { CommandContext, CommandInput } from '#lib/command'
import { CodedError } from '#lib/errors'
import { DEFAULT_SCRATCH } from '#lib/launch'
import { MAX_SCRATCH, MIN_SCRATCH, SCRATCH_CHUNK } from '#lib/scratch'
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
    ...scratchRequest(input.text('scratch')),
    network: 'host',
    explain: input.flag('explain'),
    resolvConf: readOptional('/etc/resolv.conf'),
    hosts: readOptional('/etc/hosts'),
  }
}

/**
 * `--scratch`. Without it nothing is asked for: the owner's policy decides between disk and memory. Throws
 * CodedError USAGE.
 */
export function scratchRequest(text: string | undefined): {
  scratch?: { kind: string; size?: number }
} {
  if (text === undefined) return {}
  const match = /^(disk|tmpfs)(?::(\d{1,12})([kmg]?))?$/i.exec(text)
  const kind = match?.[1]?.toLowerCase()
  if (match === null || kind === undefined) {
    throw new CodedError('USAGE', `--scratch ${text}: disk, tmpfs, disk:SIZE or tmpfs:SIZE`)
  }
  if (match[2] === undefined) return { scratch: { kind } }
  const factor = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[match[3]?.toLowerCase() ?? ''] ?? 1
  // Whole blocks of the scratch: a little more than was asked for, never less.
  const size = Math.ceil((Number(match[2]) * factor) / SCRATCH_CHUNK) * SCRATCH_CHUNK
  const [least, most] = kind === 'disk' ? [MIN_SCRATCH, MAX_SCRATCH] : [65_536, 2 ** 40]
  if (!(size >= least && size <= most)) {
    throw new CodedError(
      'USAGE',
      `--scratch ${text}: a ${kind} scratch has ${least} to ${most} bytes`,
    )
  }
  return { scratch: { kind, size } }
}

/**
 * Bytes of the encrypted scratch that a launch with this request most likely wants, so that it can be made
 * before the owner's policy is asked; undefined: none. Where the launch wants another, init decides.
 */
export function expectedScratch(request: Readonly<Record<string, unknown>>): number | undefined {
  const { kind = 'disk', size = DEFAULT_SCRATCH.disk } = (request.scratch ?? {}) as {
    kind?: string
    size?: number
  }
  return kind === 'disk' ? size : undefined
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
