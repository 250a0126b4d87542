import type { ResourceName } from '#lib/initdata'
import type { JsonObject, JsonValue } from '#lib/json'

/** Kinds of small JSON documents that a broker keeps. */
export type DocumentKind = 'reference' | 'root' | 'policy' | 'admin-token' | 'floor'

/** A resource without its value. */
export interface ResourceInfo {
  readonly name: ResourceName
  /** From 1; each set, delete and rollback makes a new one. */
  readonly version: number
  /** Size of the value in bytes. */
  readonly size: number
  /** RFC 3339 UTC. */
  readonly updatedAt: string
  readonly deleted: boolean
}

/** A resource with its value, as the caller stored it (sealed; the store cannot read it). */
export interface StoredResource extends ResourceInfo {
  readonly value: Uint8Array
}

/** One change. Several of one `commit` happen together or not at all. */
export type Change =
  | {
      readonly op: 'put-resource'
      readonly name: ResourceName
      readonly value: Uint8Array
      readonly size: number
      /** Refuse with RESOURCE_EXISTS if there is one. */
      readonly create?: boolean
    }
  | { readonly op: 'delete-resource'; readonly name: ResourceName }
  | {
      readonly op: 'put-document'
      readonly kind: DocumentKind
      readonly id: string
      readonly document: JsonObject
    }
  | { readonly op: 'delete-document'; readonly kind: DocumentKind; readonly id: string }
  | { readonly op: 'put-decision'; readonly id: string; readonly document: JsonObject }

/** One line of the audit log. */
export interface AuditEntry {
  /** From 1, without gaps. */
  readonly seq: number
  /** Canonical JSON of the event, exactly as it was hashed. */
  readonly text: string
  /** SHA-256 over the previous hash and `text`, see `audit.ts`. */
  readonly hash: Uint8Array
}

/**
 * What a broker keeps. Everything that changes goes through `commit`, which also appends the
 * event to the audit log, so that no change is without its line.
 */
export interface Store {
  resource(name: ResourceName, version?: number): Promise<StoredResource | undefined>
  /** Current resources, sorted by name; deleted ones left out. */
  resources(): Promise<ResourceInfo[]>
  /** All versions of one resource, oldest first. */
  history(name: ResourceName): Promise<ResourceInfo[]>
  document(kind: DocumentKind, id: string): Promise<JsonObject | undefined>
  documents(kind: DocumentKind): Promise<{ id: string; document: JsonObject }[]>
  decision(id: string): Promise<JsonObject | undefined>
  /**
   * Applies the changes and appends `event`, durably. Returns the versions that put-resource
   * changes got, in order. Throws KbsError RESOURCE_EXISTS.
   */
  commit(changes: readonly Change[], event: Readonly<Record<string, JsonValue>>): Promise<number[]>
  /** Entries after `seq`, at most `limit`. */
  audit(after: number, limit: number): Promise<AuditEntry[]>
  /** The last entry, or undefined of an empty log. */
  auditHead(): Promise<AuditEntry | undefined>
  close(): Promise<void>
}
