import { constants, type FileHandle, open } from 'node:fs/promises'
import { copyOf, FormatError } from '#lib/bytes'
import {
  HEADER_BLOCK,
  HEADER_LENGTH,
  parseHeaderBlock,
  SealedError,
  type SealedHeader,
  type SealedLayout,
  sealedLayout,
  sealedRoot,
} from '#lib/sealed'
import { LayerCommandError, NOT_GENUINE } from './layer-command-error.ts'

/** A sealed file, open; its header and tag table were read once and are what everything is judged by. */
export interface SealedFile extends AsyncDisposable {
  readonly handle: FileHandle
  /** Bytes of the file as it was opened. */
  readonly length: number
  readonly header: SealedHeader
  readonly encodedHeader: Uint8Array
  readonly layout: SealedLayout
  /** Undefined where the file ends before its tag table does. */
  readonly tags: Uint8Array | undefined
  /** Root over header and tag table as they stand in the file; nothing is proven by it alone. */
  readonly root: Uint8Array | undefined
}

/**
 * Opens a sealed file of any length. Throws `INPUT_UNREADABLE`, and `SEALED_FORMAT` for a header that is
 * none; whether the length is right is for the caller to judge.
 */
export async function openSealedFile(path: string): Promise<SealedFile> {
  await using stack = new AsyncDisposableStack()
  const handle = await openInput(path)
  stack.defer(() => handle.close())
  const { size: length } = await handle.stat()
  const block = await readAt(handle, 0, HEADER_BLOCK)
  const header = parse(block)
  const layout = sealedLayout(header)
  const encodedHeader = copyOf(block.subarray(0, HEADER_LENGTH))
  const complete = length >= layout.fileLength
  const tags = complete ? await readAt(handle, layout.tagsOffset, layout.tagsLength) : undefined
  const whole = tags?.length === layout.tagsLength ? tags : undefined
  const root = whole === undefined ? undefined : sealedRoot(encodedHeader, whole)
  const owned = stack.move()
  return {
    ...{ handle, length, header, encodedHeader, layout, tags: whole, root },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** What is wrong with the length of a file; undefined where it is right. */
export function wrongLength({ length, layout }: SealedFile): string | undefined {
  const { fileLength } = layout
  if (length === fileLength) return undefined
  const kind = length < fileLength ? 'is cut' : 'has bytes after its end'
  return `it ${kind}: ${length} bytes, its header says ${fileLength}`
}

/** Opens a regular file for reading. Throws `INPUT_UNREADABLE`. */
export async function openInput(path: string): Promise<FileHandle> {
  let handle: FileHandle
  try {
    // A FIFO would block a thread until somebody writes, and the process with it.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'it cannot be read'
    const shown = reason === 'ENOENT' ? 'it does not exist' : reason
    throw new LayerCommandError('INPUT_UNREADABLE', `reading ${path}: ${shown}`, { cause })
  }
  if ((await handle.stat()).isFile()) return handle
  await handle.close()
  throw new LayerCommandError('INPUT_UNREADABLE', `reading ${path}: it is not a regular file`)
}

/** Up to `length` bytes at `offset`, fewer only at the end of the file. */
export async function readAt(
  handle: FileHandle,
  offset: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length)
  let got = 0
  while (got < length) {
    const { bytesRead } = await handle.read(bytes, got, length - got, offset + got)
    if (bytesRead === 0) break
    got += bytesRead
  }
  return bytes.subarray(0, got)
}

function parse(block: Uint8Array): SealedHeader {
  try {
    return parseHeaderBlock(block)
  } catch (cause) {
    if (!(cause instanceof FormatError || cause instanceof SealedError)) throw cause
    const message =
      cause instanceof SealedError ? cause.message : `reading a sealed layer: ${cause.message}`
    throw new LayerCommandError('SEALED_FORMAT', message, { next: NOT_GENUINE, cause })
  }
}
