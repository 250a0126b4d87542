import { randomFillSync } from 'node:crypto'
import { ftruncateSync, readSync, writeSync } from 'node:fs'
import {
  createScratchTable,
  forgetAll,
  NonceCounter,
  SCRATCH_KEY,
  type ScratchFile,
  ScratchStore,
  type ScratchTable,
} from '#lib/scratch'
import { createOpensslScratchCipher } from '#platform/chunk-cipher'
import { openUnnamed, punchHole } from '#platform/sparse-file'
import { closeAlways } from './open-layers.ts'

/** The encrypted scratch of one container: what every serving thread needs of it. */
export interface ScratchShare {
  readonly size: number
  /** Descriptor of the ciphertext, shared by the threads of the process. */
  readonly fd: number
  readonly key: Uint8Array
  readonly table: ScratchTable
}

/** Name of the scratch in the served directory. */
export const SCRATCH_NAME = 'scratch'

/**
 * Makes an empty scratch of `size` bytes: a key that nobody else knows, a table, and a file without a name
 * in the spool (docs/formats/scratch.md). Throws the errors of open(2) and ftruncate(2).
 */
export function createScratch(spool: string, size: number): ScratchShare {
  const table = createScratchTable(size)
  const fd = openUnnamed(spool, size)
  // Shared memory, so that wiping it here wipes the only copy of it that is not a cipher context.
  const key = randomFillSync(new Uint8Array(new SharedArrayBuffer(SCRATCH_KEY)))
  return { size, fd, key, table }
}

/**
 * Gives back all that the disk holds for it. What is read late is zeros: the kernel may still look at a loop
 * device whose last user is gone. Throws the errors of ftruncate(2).
 */
export function emptyScratch(share: ScratchShare): void {
  forgetAll(share.table, () => ftruncateSync(share.fd, 0))
}

/** Wipes the key and closes the file, which is its end: it has no name. Whatever the host's disk says to that. */
export function destroyScratch(share: ScratchShare): void {
  share.key.fill(0)
  closeAlways(share.fd)
}

/** The scratch as serving thread number `worker`, from 1, works on it. */
export function openScratch(share: ScratchShare, worker: number): ScratchStore {
  return new ScratchStore({
    table: share.table,
    cipher: createOpensslScratchCipher(share.key),
    file: descriptorFile(share.fd),
    nonces: new NonceCounter(worker),
  })
}

function descriptorFile(fd: number): ScratchFile {
  let punches = true
  return {
    read: (into, position) => readSync(fd, into, 0, into.length, position),
    write: (from, position) => writeSync(fd, from, 0, from.length, position),
    punch(position, length) {
      // A disk that cannot do it once cannot do it: nothing is lost but space.
      if (punches) punches = punchHole(fd, position, length)
    },
  }
}
