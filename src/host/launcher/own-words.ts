/** Bytes that one process of the node may say to the log that it shares with all others. */
const LIMIT = 64 * 1024

/**
 * What says lines with `write`, at most `limit` bytes of them: some are caused by enclaves, which may cause
 * as many as they like.
 */
export function ownWords(
  write: (line: string) => void,
  limit: number = LIMIT,
): (line: string) => void {
  let left = limit
  return (line) => {
    if (left <= 0) return
    left -= Buffer.byteLength(line) + 1
    write(left > 0 ? `${line}\n` : 'more was to be said, and is left out\n')
  }
}

/** Says a line that no command can be told. */
export const say: (line: string) => void = ownWords((line) => process.stderr.write(line))
