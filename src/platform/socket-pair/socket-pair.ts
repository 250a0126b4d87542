import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { check, libc } from '#platform/ffi'

const AF_UNIX = 1
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000

/** A connected pair of unix sockets: one end for us, the other to give to a child by its number. */
export interface SocketPair {
  readonly ours: Socket
  /** Pass it in `stdio`, then call `closeTheirs` once the child is started. */
  readonly theirs: number
  closeTheirs(): void
}

/**
 * Makes a socket pair. Node's own `stdio: 'pipe'` gives one too, but not a readable one for
 * descriptor 0. Throws SystemError.
 */
export function socketPair(): SocketPair {
  const pair = new Uint8Array(8)
  // Safe: the kernel writes two 32-bit integers into the eight bytes and keeps no pointer.
  check(libc.socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair), 'socketpair', 'of an enclave')
  const [first, second] = new Int32Array(pair.buffer)
  const theirs = second as number
  let open = true
  return {
    ours: new Socket({ fd: first as number, readable: true, writable: true }),
    theirs,
    closeTheirs() {
      if (open) closeSync(theirs)
      open = false
    },
  }
}
