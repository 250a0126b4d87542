import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CommandContext, CommandInput } from '#lib/command'
import { CodedError } from '#lib/errors'
import { isLoopbackHost } from '#lib/oci'
import { createHttpTransport } from '#platform/http'
import { AdminClient } from './admin-client.ts'
import { FILES, readConfig } from './data-dir.ts'
import { KbsError } from './kbs-error.ts'

/** Where a broker is, as a client should see it. */
export interface BrokerPlace {
  readonly url: string
  /** PEM; undefined: the authorities that node brings along. */
  readonly ca: string | undefined
}

/** The data directory that the command line, the environment or the default names. */
export function dataDirOf(context: CommandContext, input: CommandInput): string {
  return input.text('data-dir') ?? context.places.kbsData
}

/** Resolves URL and CA: flag, environment, configuration, data directory, default. */
export async function brokerPlace(
  context: CommandContext,
  input: CommandInput,
): Promise<BrokerPlace> {
  const dataDir = dataDirOf(context, input)
  const caFile = context.places.kbsCa
  const localCa = join(dataDir, FILES.authority)
  const ca = caFile === undefined ? (existsSync(localCa) ? read(localCa) : undefined) : read(caFile)
  const named = context.places.kbsUrl
  return { url: named ?? (await recordedUrl(dataDir)) ?? 'https://127.0.0.1:8080', ca }
}

/** Opens the administration of the broker that is meant. Throws CodedError INPUT_UNREADABLE. */
export async function openAdmin(
  context: CommandContext,
  input: CommandInput,
): Promise<{ readonly client: AdminClient } & Disposable> {
  const { url, ca } = await brokerPlace(context, input)
  requireConfidential(url)
  const token = adminToken(context, input)
  const transport = createHttpTransport(ca === undefined ? {} : { ca: [ca] })
  const client = new AdminClient({ url, token, send: transport.send, signal: context.signal })
  return { client, [Symbol.dispose]: () => transport[Symbol.dispose]() }
}

// The admin token is everything the broker has; a slip in a URL must not give it away.
function requireConfidential(url: string): void {
  const { protocol, host } = new URL(url)
  if (protocol === 'https:' || isLoopbackHost(host)) return
  const found = 'plain HTTP would show the admin token to everybody on the way'
  throw new KbsError('KBS_TLS_UNTRUSTED', `calling the broker at ${url}: ${found}`, {
    next: 'use https, or a tunnel that ends on this machine',
  })
}

function adminToken(context: CommandContext, input: CommandInput): string {
  const local = join(dataDirOf(context, input), FILES.adminToken)
  const home = join(context.env.HOME ?? '/root', '.config/enclave-cc/admin.token')
  const named = context.places.adminTokenFile
  const file = named ?? [local, home].find((candidate) => existsSync(candidate))
  if (file === undefined) {
    throw new KbsError(
      'KBS_ADMIN_DENIED',
      `reading the admin token: neither ${local} nor ${home} is there`,
    )
  }
  return read(file).trim()
}

async function recordedUrl(dataDir: string): Promise<string | undefined> {
  try {
    return (await readConfig(dataDir)).url
  } catch {
    return undefined
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new CodedError('INPUT_UNREADABLE', `reading ${file} failed`, { cause })
  }
}
