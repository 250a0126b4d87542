import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'

/** A loop device as it is now: the kernel numbers each use of it anew. */
export interface ScratchDevice {
  /** `/dev/loopN` */
  readonly path: string
  readonly sequence: string
}

/** The loop devices that an init has mounted as ext4. */
export function scratchDevices(init: number): readonly ScratchDevice[] {
  const lines = readFileSync(`/proc/${init}/mountinfo`, 'utf8').split('\n')
  return lines.flatMap((line) => {
    const path = / - ext4 (\/dev\/loop\d+) /.exec(line)?.[1]
    return path === undefined ? [] : [{ path, sequence: sequenceOf(path) }]
  })
}

/** True while a device is in that very use. */
export function isAttached({ path, sequence }: ScratchDevice): boolean {
  return existsSync(`${block(path)}/loop/backing_file`) && sequenceOf(path) === sequence
}

/** The files without a name that an init holds open in a spool: its scratch's ciphertext. */
export function scratchFiles(init: number): readonly { readonly path: string; size: number }[] {
  const folder = `/proc/${init}/fd`
  return readdirSync(folder)
    .map((name) => `${folder}/${name}`)
    .filter((path) => readlinkSync(path).includes('/spool/#'))
    .map((path) => ({ path, size: statSync(path).size }))
}

function sequenceOf(path: string): string {
  return readFileSync(`${block(path)}/diskseq`, 'latin1')
}

function block(path: string): string {
  return `/sys/block/${path.replace('/dev/', '')}`
}
