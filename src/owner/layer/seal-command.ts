import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import type { CommandContext, CommandInput, Outcome, Progress } from '#lib/command'
import { decompressBounded, type SpooledLayer, type UnpackedLayer, unpackLayer } from '#lib/layer'
import type { LayerCompression } from '#lib/oci'
import { describeLayer, type LayerDocument, layerDocument } from './inspect-command.ts'
import { LayerCommandError } from './layer-command-error.ts'
import { encodeLayerKey } from './layer-key.ts'
import { createOutput } from './output-file.ts'
import { openInput, openSealedFile, readAt } from './sealed-file.ts'

/** Bytes of one read of the archive. */
const BLOCK = 256 * 1024
const PRIVATE = 0o600
const PUBLIC = 0o644

/** What `layer seal --json` prints. */
export interface SealDocument extends LayerDocument {
  /** Paths as they were given. */
  readonly file: string
  readonly key: string
  /** Digest of the uncompressed archive, as a `diff_id`. */
  readonly diffId: string
  readonly entries: number
  /** What the archive holds and a container would not see. */
  readonly omitted: { readonly devices: number; readonly xattrs: number }
}

/** `layer seal ARCHIVE FILE --key-out KEY`: as an enclave does it, with a key that its owner keeps. */
export async function sealCommand(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const [archive = '', path = ''] = input.operands
  const keyPath = input.text('key-out')
  if (keyPath === undefined) {
    throw new LayerCommandError('USAGE', 'sealing a layer: --key-out is missing', {
      next: 'add --key-out FILE; without the key nobody can read the layer',
    })
  }
  const force = input.flag('force')
  await using handle = await openInput(archive)
  await using sealed = await createOutput(path, PUBLIC, force)
  await using keyFile = await createOutput(keyPath, PRIVATE, force)
  const layer = await seal(context, handle, sealed.handle)
  try {
    await keyFile.handle.writeFile(encodeLayerKey(layer))
  } finally {
    layer.key.fill(0)
  }
  // All that can fail first, so that an old layer never loses the key that is replaced with it.
  await using written = await openSealedFile(sealed.target)
  const claims = layerDocument(written, path)
  await sealed.flush()
  await keyFile.flush()
  await keyFile.commit()
  await sealed.commit()
  const { entries, omitted, diffId } = layer
  const document: SealDocument = {
    ...claims,
    ...{ file: path, key: keyPath, diffId, entries, omitted },
  }
  return { document, text: `${describeLayer(document)}\nkey      ${keyPath}\n${leftOut(document)}` }
}

async function seal(
  context: CommandContext,
  archive: FileHandle,
  output: FileHandle,
): Promise<UnpackedLayer & { readonly diffId: string }> {
  const { signal } = context
  const { size } = await archive.stat()
  const compression = compressionOf(await readAt(archive, 0, 4))
  const blocks = (): AsyncGenerator<Uint8Array> => blocksOf(archive, size, signal)
  let archiveSize = 0
  const diffId = await step(context.progress('hashing the archive'), async (update) => {
    const hash = createHash('sha256')
    for await (const piece of decompressBounded(blocks(), compression, size)) {
      hash.update(piece)
      archiveSize += piece.length
      update(archiveSize)
    }
    return `sha256:${hash.digest('hex')}`
  })
  const spooled: SpooledLayer = { size, cipher: undefined, blocks }
  const layer = await step(context.progress('sealing'), (update) =>
    unpackLayer({
      ...{ spooled, compression, diffId, signal },
      sink: { write: (offset, bytes) => writeAll(output.fd, offset, bytes) },
      onProgress: (done) => update(done, archiveSize),
    }),
  )
  return { ...layer, diffId }
}

/** Work that ends its line of progress, whatever it comes to. */
async function step<T>(
  progress: Progress,
  work: (update: Progress['update']) => Promise<T>,
): Promise<T> {
  try {
    const result = await work((done, total) => progress.update(done, total))
    progress.done()
    return result
  } catch (error) {
    progress.fail()
    throw error
  }
}

async function* blocksOf(
  handle: FileHandle,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < size; at += BLOCK) {
    signal.throwIfAborted()
    yield await readAt(handle, at, Math.min(BLOCK, size - at))
  }
}

/** By the first bytes, as every tool does; a tar archive starts with a name. */
function compressionOf(magic: Uint8Array): LayerCompression {
  if (magic[0] === 0x1f && magic[1] === 0x8b) return 'gzip'
  const zstd = [0x28, 0xb5, 0x2f, 0xfd]
  return zstd.every((byte, at) => magic[at] === byte) ? 'zstd' : 'none'
}

function writeAll(fd: number, offset: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done)
  }
}

function leftOut({ omitted: { devices, xattrs } }: SealDocument): string {
  if (devices + xattrs === 0) return ''
  return `left out, as for a container: ${devices} device nodes, ${xattrs} attributes`
}
