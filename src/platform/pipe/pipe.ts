import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { check, libc } from '#platform/ffi'

const O_CLOEXEC = 0o2000000

/** A pipe: its reading end for us, its writing end to give to a child by its number. */
export interface Pipe {
  readonly read: Socket
  /** Pass it in `stdio`, then call `closeWrite` once the child is started. */
  readonly writeFd: number
  closeWrite(): void
}

/**
 * Makes a pipe. Node's `stdio: 'pipe'` gives sockets, and a program that opens `/dev/stdout` anew
 * cannot open a socket (ENXIO). Throws SystemError.
 */
export function openPipe(): Pipe {
  const pair = new Uint8Array(8)
  // Safe: the kernel writes two 32-bit integers into the eight bytes and keeps no pointer.
  check(libc.pipe2(pair, O_CLOEXEC), 'pipe2', 'of a container')
  const [readFd, writeFd] = new Int32Array(pair.buffer) as unknown as [number, number]
  let open = true
  return {
    read: new Socket({ fd: readFd, readable: true, writable: false }),
    writeFd,
    closeWrite() {
      if (open) closeSync(writeFd)
      open = false
    },
  }
}
