import { createPublicKey, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { fromHex, fromUtf8, toHex } from '#lib/bytes'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import { array, integer, type JsonValue, object, parseJson, string } from '#lib/json'
import type { AdminClient } from './admin-client.ts'
import { type AuditHead, type AuditVerdict, headHolds, parseHead, verifyLog } from './audit.ts'
import { dataDirOf } from './client-places.ts'
import { readFileOr, readInput, withAdmin } from './command-input.ts'
import { FILES } from './data-dir.ts'

/** `kbs audit verify` */
export async function auditVerify(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const file = input.operands[0]
  const log =
    file === undefined
      ? await withAdmin(context, input, fetchLog)
      : parseExport(fromUtf8(await readInput(context, file), file))
  const kept = await Promise.all(
    input.list('head').map(async (name) => parseHead(parseJson(await readInput(context, name)))),
  )
  const key = await auditKey(context, input)
  const verdict = judge(log, kept, key)
  const text = verdict.ok
    ? `audit log is whole: ${verdict.entries} entries, head ${verdict.head}`
    : `audit log is broken at entry ${verdict.firstBad}: ${verdict.reason}`
  return { document: verdict, text, exitCode: verdict.ok ? 0 : 1 }
}

function judge(log: Log, kept: readonly AuditHead[], key: KeyObject): AuditVerdict {
  const heads = [...log.heads, ...kept]
  const chain = verifyLog(log.entries, [])
  const forged = heads.find((head) => !headHolds(key, head))
  if (forged !== undefined) {
    const reason = 'a head is not signed by this broker'
    return { ...chain, ok: false, firstBad: forged.size, reason }
  }
  const whole = verifyLog(log.entries, heads)
  // Anybody can go on with a chain, or leave its end away: only a head says where it ends.
  if (!whole.ok || heads.some(({ size }) => size === log.entries.length)) return whole
  const covered = Math.max(0, ...heads.map(({ size }) => size))
  const reason = 'no signed head covers the log from this entry on'
  return { ...whole, ok: false, firstBad: covered + 1, reason }
}

/** `kbs audit export` */
export async function auditExport(context: CommandContext, input: CommandInput): Promise<Outcome> {
  return withAdmin(context, input, async (client) => {
    const { entries, heads } = await fetchLog(client)
    const lines = entries.map(({ seq, text, hash }) => ({ seq, text, hash: toHex(hash) }))
    const document = { entries: lines, head: heads.at(-1) }
    const text = [...lines, { head: heads.at(-1) }].map((line) => JSON.stringify(line)).join('\n')
    return { document, text }
  })
}

interface Log {
  readonly entries: readonly {
    readonly seq: number
    readonly text: string
    readonly hash: Uint8Array
  }[]
  readonly heads: readonly AuditHead[]
}

async function fetchLog(client: AdminClient): Promise<Log> {
  const entries: { seq: number; text: string; hash: Uint8Array }[] = []
  const heads: AuditHead[] = []
  for (;;) {
    const page = object(await client.call('GET', `audit?after=${entries.length}`), 'audit')
    const more = array(page.entries, 'entries').map(readEntry)
    entries.push(...more)
    const head = parseHead(page.head)
    // The log grows while it is read; only a head that covers no more than was read can be checked.
    if (head.size <= entries.length) heads.push(head)
    if (more.length === 0 || head.size <= entries.length) return { entries, heads }
  }
}

function parseExport(text: string): Log {
  const entries: Log['entries'][number][] = []
  const heads: AuditHead[] = []
  for (const line of text.split('\n').filter((l) => l !== '')) {
    const value = object(parseJson(line, { name: 'audit log' }), 'line')
    if (value.head !== undefined) heads.push(parseHead(value.head))
    else entries.push(readEntry(value))
  }
  return { entries, heads }
}

function readEntry(value: JsonValue): Log['entries'][number] {
  const entry = object(value, 'entry', ['seq', 'text', 'hash'])
  return {
    seq: integer(entry.seq, 'seq'),
    text: string(entry.text, 'text'),
    hash: fromHex(string(entry.hash, 'hash'), 'hash', 32),
  }
}

async function auditKey(context: CommandContext, input: CommandInput): Promise<KeyObject> {
  const file = input.text('key') ?? join(dataDirOf(context, input), FILES.auditPublicKey)
  const pem = await readFileOr(file)
  try {
    const key = createPublicKey(Buffer.from(pem))
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // Said below.
  }
  throw new CodedError(
    'INPUT_UNREADABLE',
    `reading ${file}: it is not the public key of an audit log`,
  )
}
