import assert from 'node:assert/strict'
import type { CliResult, World } from './world.ts'

/** What was said about a refusal. */
export interface Refused {
  /** Correlation id; empty where there is none. */
  readonly id: string
  readonly next: string
  /** The sentence, without its code and id. */
  readonly sentence: string
}

/**
 * Checks that a command failed as docs/cli.md says: nothing on stdout, one sentence with this code, a
 * next step. `exit` is the exit code, 125 for what `run` refuses.
 */
export function refused(result: CliResult, code: string, exit = 125): Refused {
  const told = `exit ${result.code}\n${result.stderr}`
  const errors = result.stderr.split('\n').filter((line) => line.startsWith('error: '))
  assert.equal(errors.length, 1, told)
  const [, sentence = '', id = '', found] =
    /^error: (.*?)(?: \(id ([^)]+)\))? \[([A-Z][A-Z0-9_]+)\]$/.exec(errors[0] ?? '') ?? []
  assert.equal(found, code, told)
  assert.equal(result.code, exit, told)
  assert.equal(result.stdout, '', told)
  const next = /^next: (\S.*)$/m.exec(result.stderr)?.[1]
  assert.ok(next, told)
  assert.doesNotMatch(sentence, /\bat \/|\bundefined\b|\[object /, told)
  return { id, next, sentence }
}

/** A decision as the owner sees it. */
export interface Explained {
  readonly kind: string
  readonly decision: string
  readonly code: string
  readonly subject: string
  readonly claims: readonly {
    readonly name: string
    readonly ok: boolean
    readonly actual: string
  }[]
}

/** What `kbs explain` says about a refusal. */
export async function explained(world: World, { id }: Refused): Promise<Explained> {
  assert.notEqual(id, '', 'a refusal that the owner can look up')
  return (await world.ok(['kbs', 'explain', id, '--json'])).json<Explained>()
}

/** Resources that enclaves asked the broker for since `from` entries of its log, allowed or not. */
export async function asked(world: World, from = 0): Promise<readonly string[]> {
  return (await auditEntries(world))
    .slice(from)
    .filter(({ event, kind }) => event === 'decision' && kind === 'release')
    .map(({ subject }) => subject ?? '')
}

/** Length of the broker's log now. */
export async function auditLength(world: World): Promise<number> {
  return (await auditEntries(world)).length
}

interface AuditEvent {
  readonly event: string
  readonly kind?: string
  readonly subject?: string
}

async function auditEntries(world: World): Promise<readonly AuditEvent[]> {
  const result = await world.ok(['kbs', 'audit', 'export', '--json'])
  return result
    .json<{ entries: { text: string }[] }>()
    .entries.map(({ text }) => JSON.parse(text) as AuditEvent)
}
