import { type FileHandle, lstat, open, rename, rm } from 'node:fs/promises'
import { LayerCommandError } from './layer-command-error.ts'

/** A file that is being written. */
export interface OutputFile extends AsyncDisposable {
  readonly handle: FileHandle
  /** Where the bytes are until `commit`. */
  readonly target: string
  /** Writes what is cached to the disk: after that `commit` needs no space. Throws `DISK_FULL`. */
  flush(): Promise<void>
  /** Gives it its name where an old file is replaced. Without it nothing is left. */
  commit(): Promise<void>
}

/**
 * Opens a file that must not exist, or with `force` one that takes the place of another in one step. Throws
 * `OUTPUT_EXISTS`, `DISK_FULL`, `INPUT_UNREADABLE`; the last one also where what would be replaced is no file.
 */
export async function createOutput(
  path: string,
  mode: number,
  force: boolean,
): Promise<OutputFile> {
  const target = force ? `${path}.${process.pid}.new` : path
  await using stack = new AsyncDisposableStack()
  let handle: FileHandle
  try {
    if (force) await requireReplaceable(path)
    handle = await open(target, 'wx', mode)
  } catch (cause) {
    throw outputError(path, cause)
  }
  stack.defer(async () => {
    if (!committed) await rm(target, { force: true })
  })
  stack.defer(() => handle.close())
  let committed = false
  const owned = stack.move()
  return {
    ...{ handle, target },
    async flush() {
      try {
        await handle.sync()
      } catch (cause) {
        throw outputError(path, cause)
      }
    },
    async commit() {
      if (force) await rename(target, path)
      committed = true
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** A rename would fail on a directory only when all work is done and another file was replaced. */
async function requireReplaceable(path: string): Promise<void> {
  const found = await lstat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw cause
  })
  if (found?.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' })
}

function outputError(path: string, cause: unknown): LayerCommandError {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'EEXIST') {
    return new LayerCommandError('OUTPUT_EXISTS', `writing ${path}: the file exists already`)
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new LayerCommandError('DISK_FULL', `writing ${path}: no space is left`)
  }
  return new LayerCommandError('INPUT_UNREADABLE', `writing ${path}: ${code ?? 'it failed'}`, {
    next: 'choose a place that can be written',
    cause,
  })
}
