import { constants, type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CodedError, isCoded } from '#lib/errors'
import type { SpoolStorage } from '#lib/layer'
import type { SealedSink } from '#lib/sealed'

/** Create only, and never through a link: the directory is the host's. */
const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** One file in the spool, a directory of the host that gets ciphertext only. */
export class SpoolFile implements SealedSink, SpoolStorage, AsyncDisposable {
  readonly #handle: FileHandle

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** Creates `name`, in place of whatever has that name. Throws DISK_FULL, SPOOL_FAILED. */
  static async create(directory: string, name: string): Promise<SpoolFile> {
    return await working(async () => {
      const path = join(directory, name)
      await rm(path, { force: true, recursive: true })
      return new SpoolFile(await open(path, FLAGS, 0o600))
    })
  }

  /** A file without a name: it is gone when it is closed, whatever happens to us. */
  static async anonymous(directory: string, name: string): Promise<SpoolFile> {
    const file = await SpoolFile.create(directory, name)
    await removeSpoolFile(directory, name)
    return file
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return working(async () => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at, offset + at)
        at += bytesWritten
      }
    })
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return working(async () => {
      const bytes = new Uint8Array(length)
      let got = 0
      while (got < length) {
        const { bytesRead } = await this.#handle.read(bytes, got, length - got, offset + got)
        if (bytesRead === 0) break
        got += bytesRead
      }
      return bytes.subarray(0, got)
    })
  }

  /** Descriptor, for locks. */
  get fd(): number {
    return this.#handle.fd
  }

  /** Resolves when what was written is on the disk. */
  sync(): Promise<void> {
    return working(() => this.#handle.sync())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

/** Removes a file of the spool; that it is gone already does not matter. */
export async function removeSpoolFile(directory: string, name: string): Promise<void> {
  await working(() => rm(join(directory, name), { force: true }))
}

/** Gives a file another name, in place of whatever has that. Throws DISK_FULL, SPOOL_FAILED. */
export async function renameSpoolFile(directory: string, from: string, to: string): Promise<void> {
  await working(() => rename(join(directory, from), join(directory, to)))
}

/** True for what `SpoolFile` throws: the node's storage failed, not what was to be stored. */
export function isStorageFailure(error: unknown): boolean {
  return isCoded(error) && (error.code === 'DISK_FULL' || error.code === 'SPOOL_FAILED')
}

async function working<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (cause) {
    if (isCoded(cause)) throw cause
    const { code } = cause as NodeJS.ErrnoException
    if (code === undefined) throw cause
    const full = code === 'ENOSPC' || code === 'EDQUOT'
    throw new CodedError(
      full ? 'DISK_FULL' : 'SPOOL_FAILED',
      `writing sealed layers to the node: ${code}`,
      { cause },
    )
  }
}
