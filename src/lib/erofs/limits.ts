/** What one image may hold, so that its metadata fits into memory. Bytes, or counts. */
export interface ErofsLimits {
  /** Nodes; replaced ones count, since they keep their memory. */
  readonly nodes: number
  /** Bytes of all names. */
  readonly names: number
  /** Bytes of all xattrs. */
  readonly xattrs: number
  /** Bytes of inline tails; what comes after gets blocks of its own. Part of the format: other bytes with another value. */
  readonly tails: number
  /** Hard links that stand before their targets: each keeps an object. */
  readonly pendingLinks: number
  /** Bytes of the targets of those hard links. */
  readonly pendingBytes: number
}

/** The limits of docs/formats/erofs.md. */
export const EROFS_LIMITS: ErofsLimits = {
  nodes: 1_000_000,
  names: 64 * 2 ** 20,
  xattrs: 32 * 2 ** 20,
  tails: 16 * 2 ** 20,
  pendingLinks: 65_536,
  pendingBytes: 16 * 2 ** 20,
}
