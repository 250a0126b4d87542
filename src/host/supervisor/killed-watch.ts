import type { EnclaveProcess } from '../launcher/enclave-process.ts'

/** How often an init is looked at: two reads of a file of the kernel a second. */
const LOOK_MS = 500

/**
 * Looks after an init for as long as this is not disposed of. One that is killed while a thread of it waits
 * for what it serves itself (a mount, a trim) cannot end: its socket stays open, and nobody who waits for
 * its answer would ever hear of it.
 */
export function watchForKilled(process: Pick<EnclaveProcess, 'releaseIfKilled'>): Disposable {
  const timer = setInterval(() => process.releaseIfKilled(), LOOK_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
