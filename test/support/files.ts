import { closeSync, openSync, readSync, writeSync } from 'node:fs'

/** Flips one bit of one byte of a file, in place. */
export function flipByte(file: string, offset: number): void {
  const fd = openSync(file, 'r+')
  try {
    const byte = new Uint8Array(1)
    if (readSync(fd, byte, 0, 1, offset) !== 1) throw new Error(`${file} ends before ${offset}`)
    byte[0] = (byte[0] as number) ^ 1
    writeSync(fd, byte, 0, 1, offset)
  } finally {
    closeSync(fd)
  }
}
