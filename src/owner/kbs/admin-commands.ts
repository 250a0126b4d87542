import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromUtf8, toHex } from '#lib/bytes'
import { type CommandContext, type CommandInput, type Outcome, printable } from '#lib/command'
import { CodedError } from '#lib/errors'
import { parseResourceUri, type ResourceName } from '#lib/initdata'
import {
  array,
  base64,
  type JsonObject,
  type JsonValue,
  object,
  parseJson,
  string,
} from '#lib/json'
import { mrEnclave, mrSigner, parseSignedManifest } from '#lib/manifest'
import { readFileOr, readInput, withAdmin } from './command-input.ts'
import { explanation } from './explanation.ts'

/** `kbs resource set` */
export async function resourceSet(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const name = uriOperand(input)
  const value = await readInput(context, input.operands[1] ?? '')
  const create = input.flag('create')
  return withAdmin(context, input, async (client) => {
    const document = await client.setResource(name, value, { create })
    return { document, text: `${document.uri} version ${document.version}, ${document.size} bytes` }
  })
}

/** `kbs resource get` */
export async function resourceGet(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const name = uriOperand(input)
  const version = input.text('version-number')
  const query = version === undefined ? '' : `?version=${numberFlag(version, 'version-number')}`
  return withAdmin(context, input, async (client) => {
    const answer = object(await client.call('GET', `resource/${path(name)}${query}`), 'resource')
    const { value: encoded, ...document } = answer
    const value = base64(encoded, 'value')
    const out = input.text('out')
    if (out === undefined) return { document: answer, bytes: value }
    await writePrivate(out, value, input.flag('force'))
    return { document, text: `${out}: ${value.length} bytes` }
  })
}

/** `kbs resource list` */
export async function resourceList(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const prefix = encodeURIComponent(input.operands[0] ?? '')
  return withAdmin(context, input, async (client) =>
    table(await client.call('GET', `resources?prefix=${prefix}`), [
      'uri',
      'version',
      'size',
      'updatedAt',
    ]),
  )
}

/** `kbs resource delete` */
export async function resourceDelete(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const name = uriOperand(input)
  return withAdmin(context, input, async (client) => {
    const document = object(await client.call('DELETE', `resource/${path(name)}`), 'resource')
    return { document, text: `${document.uri} deleted` }
  })
}

/** `kbs resource history` */
export async function resourceHistory(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const name = uriOperand(input)
  return withAdmin(context, input, async (client) =>
    table(await client.call('GET', `history/${path(name)}`), [
      'version',
      'size',
      'updatedAt',
      'deleted',
    ]),
  )
}

/** `kbs resource rollback` */
export async function resourceRollback(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const name = uriOperand(input)
  const version = numberFlag(input.operands[1] ?? '', 'version')
  return withAdmin(context, input, async (client) => {
    const answer = await client.call('POST', `rollback/${path(name)}`, { json: { version } })
    const document = object(answer, 'resource')
    return {
      document,
      text: `${document.uri} version ${document.version} is as version ${version}`,
    }
  })
}

/** `kbs reference set` */
export async function referenceSet(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const bundle = input.text('bundle')
  const given = bundle === undefined ? measurementFlags(input) : await agentOf(bundle, input)
  const short = String(given.mrEnclave ?? given.mrSigner ?? '').slice(0, 12)
  const name = input.text('name') ?? `agent-${short}`
  return withAdmin(context, input, async (client) => {
    const call = { json: { ...given, program: 'agent' } }
    const answer = await client.call('PUT', `references/${encodeURIComponent(name)}`, call)
    return { document: answer, text: `${name}: ${short === '' ? '' : `${short}… `}accepted` }
  })
}

/** `kbs reference list` */
export async function referenceList(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  return withAdmin(context, input, async (client) =>
    table(await client.call('GET', 'references'), [
      'name',
      'mrEnclave',
      'mrSigner',
      'isvProdId',
      'minIsvSvn',
    ]),
  )
}

/** `kbs reference delete` */
export async function referenceDelete(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const name = encodeURIComponent(input.operands[0] ?? '')
  return withAdmin(context, input, async (client) => {
    const document = object(await client.call('DELETE', `references/${name}`), 'reference')
    return { document, text: `${document.name} deleted` }
  })
}

/** `kbs root add` */
export async function rootAdd(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const platform = input.text('platform')
  if (platform !== 'simulated' && platform !== 'sgx') {
    throw new CodedError('USAGE', 'kbs root add needs --platform simulated or --platform sgx')
  }
  const pem = fromUtf8(await readInput(context, input.operands[0] ?? ''), 'root certificate')
  const namespace = input.text('namespace')
  return withAdmin(context, input, async (client) => {
    const json = { pem, platform, ...(namespace === undefined ? {} : { namespace }) }
    const document = object(await client.call('POST', 'roots', { json }), 'root')
    const warning = platform === 'simulated' ? '; its operator can read the memory of enclaves' : ''
    return { document, text: `root ${document.id} trusted as ${platform}${warning}` }
  })
}

/** `kbs root list` */
export async function rootList(context: CommandContext, input: CommandInput): Promise<Outcome> {
  return withAdmin(context, input, async (client) =>
    table(await client.call('GET', 'roots'), ['id', 'platform', 'namespace', 'addedAt']),
  )
}

/** `kbs root delete` */
export async function rootDelete(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const id = encodeURIComponent(input.operands[0] ?? '')
  return withAdmin(context, input, async (client) => {
    const document = object(await client.call('DELETE', `roots/${id}`), 'root')
    return { document, text: `root ${document.id} is trusted no more` }
  })
}

/** `kbs policy set` */
export async function policySet(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const kind = kindOperand(input)
  const bytes = await readInput(context, input.operands[1] ?? '')
  return withAdmin(context, input, async (client) => {
    const document = object(await client.call('PUT', `policies/${kind}`, { bytes }), 'policy')
    for (const item of array(document.warnings ?? [], 'warnings')) {
      const { line, column, message } = object(item, 'warning')
      context.warn(`warning: line ${line}, column ${column}: ${message}`)
    }
    return { document, text: `${kind} policy set` }
  })
}

/** `kbs policy get` */
export async function policyGet(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const kind = kindOperand(input)
  return withAdmin(context, input, async (client) => {
    const document = object(await client.call('GET', `policies/${kind}`), 'policy')
    return { document, text: string(document.text, 'text') }
  })
}

/** `kbs policy test` */
export async function policyTest(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const kind = kindOperand(input)
  const file = input.text('request')
  if (file === undefined) throw new CodedError('USAGE', 'kbs policy test needs --request FILE')
  const request = parseJson(await readInput(context, file), { name: file })
  const policyFile = input.text('policy')
  const policy =
    policyFile === undefined
      ? {}
      : { policy: fromUtf8(await readInput(context, policyFile), policyFile) }
  return withAdmin(context, input, async (client) => {
    const call = { json: { request, ...policy } }
    const document = object(await client.call('POST', `policies/${kind}`, call), 'decision')
    const ids = array(document.policyIds, 'policyIds').join(', ')
    const errors = array(document.errors ?? [], 'errors').map((e) =>
      string(object(e, 'e').message, 'm'),
    )
    const text = [`${document.decision}${ids === '' ? '' : ` by ${ids}`}`, ...errors].join('\n')
    return { document, text, exitCode: document.allowed === true ? 0 : 1 }
  })
}

/** `kbs explain` */
export async function explain(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const id = encodeURIComponent(input.operands[0] ?? '')
  return withAdmin(context, input, async (client) => {
    const document = object(await client.call('GET', `decisions/${id}`), 'decision')
    return { document, text: explanation(document) }
  })
}

/** `kbs status` */
export async function status(context: CommandContext, input: CommandInput): Promise<Outcome> {
  return withAdmin(context, input, async (client) => ({
    document: await client.call('GET', 'status'),
  }))
}

/** `kbs token create` */
export async function tokenCreate(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const role = input.text('role')
  const match = /^(\d{1,6})([smhd])$/.exec(input.text('ttl') ?? '')
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[match?.[2] as 's' | 'm' | 'h' | 'd']
  if (role === undefined || match === null || unit === undefined) {
    throw new CodedError(
      'USAGE',
      'kbs token create needs --role admin|auditor and --ttl such as 24h',
    )
  }
  const ttlSeconds = Number(match[1]) * unit
  return withAdmin(context, input, async (client) => {
    const document = object(
      await client.call('POST', 'tokens', { json: { role, ttlSeconds } }),
      'token',
    )
    return { document, text: string(document.token, 'token') }
  })
}

async function agentOf(bundle: string, input: CommandInput): Promise<JsonObject> {
  for (const flag of ['mrenclave', 'mrsigner', 'isv-prod-id', 'min-isv-svn']) {
    if (input.text(flag) !== undefined) {
      throw new CodedError('USAGE', `--bundle says everything; --${flag} cannot be added`)
    }
  }
  const signed = parseSignedManifest(await readFileOr(join(bundle, 'agent.json')))
  if (signed.manifest.program !== 'agent') {
    throw new CodedError('USAGE', `${bundle}/agent.json is not the manifest of an agent`)
  }
  return {
    mrEnclave: toHex(mrEnclave(signed.manifest)),
    mrSigner: toHex(mrSigner(signed.signer)),
    isvProdId: signed.manifest.isvProdId,
    minIsvSvn: signed.manifest.isvSvn,
  }
}

function measurementFlags(input: CommandInput): JsonObject {
  const measured = input.text('mrenclave')
  const signer = input.text('mrsigner')
  if (measured === undefined && signer === undefined) {
    throw new CodedError(
      'USAGE',
      'kbs reference set needs --bundle DIR, --mrenclave H or --mrsigner H',
    )
  }
  const numeric = (flag: string, member: string): JsonObject => {
    const text = input.text(flag)
    return text === undefined ? {} : { [member]: numberFlag(text, flag) }
  }
  return {
    ...(measured === undefined ? {} : { mrEnclave: measured }),
    ...(signer === undefined ? {} : { mrSigner: signer }),
    ...numeric('isv-prod-id', 'isvProdId'),
    ...numeric('min-isv-svn', 'minIsvSvn'),
  }
}

function table(answer: JsonValue, columns: readonly string[]): Outcome {
  const rows = array(answer, 'list').map((row) =>
    columns.map((column) => printable(String(object(row, 'row')[column] ?? '-'))),
  )
  const all = [columns.map((c) => c.toUpperCase()), ...rows]
  const widths = columns.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)))
  const text = all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
  return { document: answer, text }
}

function uriOperand(input: CommandInput): ResourceName {
  return parseResourceUri(input.operands[0] ?? '')
}

function kindOperand(input: CommandInput): string {
  const kind = input.operands[0] ?? ''
  if (['appraise', 'release', 'launch'].includes(kind)) return kind
  throw new CodedError('USAGE', 'the kind of a policy is appraise, release or launch')
}

function numberFlag(text: string, flag: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new CodedError('USAGE', `${flag} is not a number`)
  return Number(text)
}

function path(name: ResourceName): string {
  return `${name.namespace}/${name.type}/${name.tag}`
}

async function writePrivate(file: string, bytes: Uint8Array, force: boolean): Promise<void> {
  // A forced write replaces the name in one step: what is there may be readable for others, or a
  // link, and stays whole if the new one cannot be written.
  const target = force ? `${file}.${process.pid}.new` : file
  try {
    await writeFile(target, bytes, { mode: 0o600, flag: 'wx', flush: true })
    if (force) await rename(target, file)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      await rm(target, { force: true })
      throw cause
    }
    throw new CodedError('OUTPUT_EXISTS', `writing ${target}: it exists`, { cause })
  }
}
