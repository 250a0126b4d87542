import { open } from 'node:fs/promises'
import { collectAtMost } from '#lib/bytes'

/**
 * The bytes of a file, or undefined where it has more than `max`. A regular file that is longer is not read at
 * all; of a pipe or a device, which have no length, no more than `max` and one byte are. Throws errno errors.
 */
export async function readFileAtMost(
  path: string,
  max: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  await using file = await open(path)
  const stat = await file.stat()
  if (stat.isFile() && stat.size > max) return undefined
  return await collectAtMost(file.createReadStream({ end: max, autoClose: false }), max)
}
