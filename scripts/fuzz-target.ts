/** A target of `npm run fuzz`: one format, where its seeds lie, and what must hold for any bytes. */
export interface FuzzTarget {
  /** Folder below test/vectors; finds are written there as `found-TARGET-HASH.bin`. */
  readonly format: string
  /** Which files of the folder are seeds; default: all but pages, scripts and JSON. May be refused by `run`. */
  readonly files?: RegExp
  /** Good inputs beside the files: each of them must be accepted, or the target tests nothing. */
  readonly seeds?: () => Iterable<Uint8Array>
  /** Parses, checks what was parsed, and throws a coded error for anything that is not the format. */
  readonly run: (data: Uint8Array) => void | Promise<void>
}

/** Seeds of a target: its good ones, then the vector files and earlier finds. */
export interface FuzzSeeds {
  readonly good: readonly Uint8Array[]
  readonly files: readonly Uint8Array[]
}
