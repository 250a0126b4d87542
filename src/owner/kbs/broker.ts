import type { Collateral } from '#lib/attest'
import { toHex } from '#lib/bytes'
import { formatResourceUri, type ResourceName } from '#lib/initdata'
import { type JsonObject, type JsonValue, string } from '#lib/json'
import { APPRAISE_DEFAULT, LAUNCH_DEFAULT, type PolicyKind, RELEASE_DEFAULT } from '#lib/policy'
import { Allowances } from './allowance.ts'
import type { AppraiseBasis } from './appraise.ts'
import { type AuditHead, signHead } from './audit.ts'
import type { CollateralCache } from './collateral-cache.ts'
import type { BrokerKeys } from './data-dir.ts'
import {
  type DecisionRecord,
  decide,
  decisionDocument,
  decisionEvent,
  type Verdict,
} from './decision.ts'
import { KbsError } from './kbs-error.ts'
import { parseReference, type Reference } from './reference.ts'
import { RefusalBudget } from './refusal-budget.ts'
import type { ReleaseBasis } from './release.ts'
import { parseRootDocument, type Root } from './root.ts'
import { Sessions } from './session.ts'
import type { Change, Store, StoredResource } from './store/store.ts'
import type { TokenAuthority } from './token.ts'
import { openValue, sealValue } from './value-seal.ts'

/** Writes one structured line; never a secret. */
export type Log = (
  level: 'error' | 'warn' | 'info' | 'debug',
  fields: Readonly<Record<string, unknown>>,
) => void

/** What a broker is made of. */
export interface BrokerParts {
  readonly keys: BrokerKeys
  readonly store: Store
  readonly version: string
  readonly log: Log
  /** For evidence that carries no collateral. */
  readonly collateral?: CollateralCache
  /** Milliseconds for which expired collateral still counts; default 0. */
  readonly collateralGrace?: number
  /** Milliseconds since 1970. */
  now(): number
}

/** What the refused side is told; without an id where nothing was recorded. */
export type Refusal = Pick<DecisionRecord, 'kind' | 'code' | 'next'> & { readonly id?: string }

const DEFAULTS: Readonly<Record<PolicyKind, string>> = {
  appraise: APPRAISE_DEFAULT,
  release: RELEASE_DEFAULT,
  launch: LAUNCH_DEFAULT,
}

const RECORD_BASE = 1024

/** The launch policy of a namespace that has set none. */
const LAUNCH_POLICY = { type: 'launch-policy', tag: 'default' }

/**
 * The state of a running broker: the owner's rules held in memory, everything else in the store.
 * Each change goes through `commit`, which writes first and only then lets it take effect.
 */
export class Broker implements AppraiseBasis {
  readonly parts: BrokerParts
  readonly sessions: Sessions = new Sessions()
  readonly authority: TokenAuthority
  readonly counters: Map<string, number> = new Map()
  /** SPKI pin of the TLS key that is served. */
  pin: string
  roots: readonly Root[] = []
  references: readonly Reference[] = []
  #policies = new Map<PolicyKind, { text: string; setAt: string }>()
  #floors = new Map<string, bigint>()
  readonly #refusals = new RefusalBudget()
  readonly #allowances = new Allowances()
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(parts: BrokerParts) {
    this.parts = parts
    const { keys, version } = parts
    this.pin = keys.pin
    this.authority = {
      id: keys.config.id,
      ...keys.token,
      chain: keys.tokenChain,
      build: `enclave-cc ${version}`,
    }
  }

  /** Loads the owner's rules from the store. */
  static async open(parts: BrokerParts): Promise<Broker> {
    const broker = new Broker(parts)
    await broker.#load()
    return broker
  }

  /** The appraise policy in force. */
  get policy(): string {
    return this.policyText('appraise').text
  }

  /** What a release looks at. */
  get releaseBasis(): ReleaseBasis {
    const { references, roots } = this
    return { references, roots, policy: this.policyText('release').text }
  }

  /** A policy in force; `setAt` is undefined for a default. */
  policyText(kind: PolicyKind): { readonly text: string; readonly setAt?: string } {
    return this.#policies.get(kind) ?? { text: DEFAULTS[kind] }
  }

  get collateralGrace(): number {
    return this.parts.collateralGrace ?? 0
  }

  collateral(quote: Uint8Array): Collateral | undefined {
    return this.parts.collateral?.find(quote, this.roots)
  }

  floor(key: string): bigint {
    const seen = this.#floors.get(key) ?? 0n
    // What the owner has fetched was seen too: a node must not do better by sending older collateral.
    const kept = this.parts.collateral?.floor(key, this.roots) ?? 0n
    return kept > seen ? kept : seen
  }

  /** Applies changes durably, with their line in the audit log, then lets them take effect. */
  async commit(
    changes: readonly Change[],
    event: Readonly<Record<string, JsonValue>>,
  ): Promise<number[]> {
    const versions = await this.parts.store.commit(changes, event)
    if (changes.some(({ op }) => op === 'put-document' || op === 'delete-document')) {
      await this.#load()
    }
    return versions
  }

  /** Runs one after the other what checks the rules in force and then changes them. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => {})
    return mine
  }

  /**
   * Records that evidence was refused, as far as `RefusalBudget` goes; a refusal beyond it is only
   * counted, and has no id by which it could be explained.
   */
  async recordRefusal(verdict: Verdict): Promise<Refusal> {
    if (this.#refusals.take(this.parts.now())) return this.record('appraise', verdict)
    this.count('refusals_unrecorded_total')
    const { id: _, ...refusal } = decide('appraise', verdict, this.parts.now())
    return refusal
  }

  /**
   * As `record`, for an enclave of a machine, as far as `Allowances` goes; beyond it throws KbsError
   * KBS_RATE_LIMITED, and nothing is recorded, raised or to be released.
   */
  async recordFor(
    machine: string,
    kind: DecisionRecord['kind'],
    verdict: Verdict,
    floors?: ReadonlyMap<string, bigint>,
  ): Promise<DecisionRecord> {
    if (!this.#allowances.take(machine, recordSize(verdict), this.parts.now())) {
      this.count('requests_limited_total')
      throw new KbsError('KBS_RATE_LIMITED', 'deciding: this machine has asked too often')
    }
    return this.record(kind, verdict, floors)
  }

  /** Records a decision, raising floors in the same commit. Returns its record. */
  async record(
    kind: DecisionRecord['kind'],
    verdict: Verdict,
    floors: ReadonlyMap<string, bigint> = new Map(),
  ): Promise<DecisionRecord> {
    const record = decide(kind, verdict, this.parts.now())
    const omitted = this.#omitted()
    // What the owner keeps does not count here: its directory may be gone tomorrow, what was seen is not.
    const raised = [...floors].filter(([key, value]) => value > (this.#floors.get(key) ?? 0n))
    const changes: Change[] = [
      { op: 'put-decision', id: record.id, document: decisionDocument(record) },
      ...raised.map(([id, value]): Change => {
        return { op: 'put-document', kind: 'floor', id, document: { value: toText(value) } }
      }),
    ]
    // Taken at once: an old copy sent while the commit is under way must not pass.
    for (const [key, value] of raised) this.#floors.set(key, value)
    const event = decisionEvent(record)
    await this.parts.store.commit(changes, { ...event, ...omitted })
    const { id, decision, code, subject } = record
    this.count(`decisions_total{kind="${kind}",decision="${decision}"}`)
    this.parts.log(decision === 'allow' ? 'info' : 'warn', {
      event: kind,
      id,
      decision,
      code,
      subject,
    })
    return record
  }

  /** A resource's value, or the default launch policy where a namespace has none. */
  async readResource(
    name: ResourceName,
    version?: number,
  ): Promise<(StoredResource & { readonly isDefault?: boolean }) | undefined> {
    const stored = await this.parts.store.resource(name, version)
    if (stored !== undefined) {
      return { ...stored, value: openValue(this.parts.keys.storageKey, name, stored.value) }
    }
    const asksDefault = name.type === LAUNCH_POLICY.type && name.tag === LAUNCH_POLICY.tag
    if (!asksDefault || version !== undefined) return undefined
    const { text, setAt } = this.policyText('launch')
    const value = new TextEncoder().encode(text)
    const updatedAt = setAt ?? new Date(0).toISOString()
    return {
      name,
      version: 0,
      size: value.length,
      updatedAt,
      deleted: false,
      value,
      isDefault: true,
    }
  }

  /** Sets a resource; returns its version. Throws KbsError RESOURCE_EXISTS with `create`. */
  async setResource(
    name: ResourceName,
    value: Uint8Array,
    by: string,
    options: { readonly create?: boolean; readonly event?: string } = {},
  ): Promise<number> {
    const sealed = sealValue(this.parts.keys.storageKey, name, value)
    const change: Change = {
      op: 'put-resource',
      name,
      value: sealed,
      size: value.length,
      ...(options.create === true ? { create: true } : {}),
    }
    const event = options.event ?? 'resource-set'
    const uri = formatResourceUri(name)
    const [version = 0] = await this.commit([change], { event, uri, size: value.length, by })
    return version
  }

  /** A signed head of the audit log as it is now. */
  async auditHead(): Promise<AuditHead> {
    const last = await this.parts.store.auditHead()
    return signHead(this.parts.keys.audit.privateKey, {
      broker: this.parts.keys.config.id,
      size: last?.seq ?? 0,
      hash: toHex(last?.hash ?? new Uint8Array(32)),
      time: new Date(this.parts.now()).toISOString(),
    })
  }

  /** Counts one event for `/metrics`. */
  count(name: string): void {
    this.counters.set(name, (this.counters.get(name) ?? 0) + 1)
  }

  /** What was left out since the last entry, for the next one. */
  #omitted(): { readonly unrecorded?: number; readonly limited?: number } {
    const [unrecorded, limited] = [this.#refusals.omitted(), this.#allowances.omitted()]
    return { ...(unrecorded > 0 && { unrecorded }), ...(limited > 0 && { limited }) }
  }

  async #load(): Promise<void> {
    const { store } = this.parts
    const documents = async (
      kind: 'root' | 'reference' | 'policy' | 'floor',
    ): Promise<{ id: string; document: JsonObject }[]> => store.documents(kind)
    this.roots = (await documents('root')).map(({ document }) => parseRootDocument(document))
    this.references = (await documents('reference')).map(({ document }) => parseReference(document))
    const policies = (await documents('policy')).map(
      ({ id, document }) =>
        [
          id as PolicyKind,
          { text: string(document.text, 'text'), setAt: string(document.setAt, 'setAt') },
        ] as const,
    )
    this.#policies = new Map(policies)
    for (const { id, document } of await documents('floor')) {
      const value = BigInt(string(document.value, 'value', { pattern: /^\d+$/ }))
      if (value > (this.#floors.get(id) ?? 0n)) this.#floors.set(id, value)
    }
  }
}

/** Bytes that a record takes in the store, about: the decision, its line of the log, and the tables around them. */
function recordSize(verdict: Verdict): number {
  return (
    RECORD_BASE + Buffer.byteLength(JSON.stringify(verdict)) + Buffer.byteLength(verdict.subject)
  )
}

function toText(value: bigint): string {
  return value.toString(10)
}
