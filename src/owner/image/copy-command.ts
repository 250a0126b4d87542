import { writeFile } from 'node:fs/promises'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { formatPlatform, type ManifestFormat } from '#lib/oci'
import { type CopyResult, copyImage } from './copy.ts'
import { ImageError } from './image-error.ts'
import { unwritable } from './layout-index.ts'
import { openDestination, openSource } from './open.ts'
import { wantedPlatform } from './platform-flag.ts'
import { registryAccess } from './registry-access.ts'

/** Which operand may be a REF without transport. */
export interface BareOperands {
  readonly source: boolean
  readonly destination: boolean
}

/** `image copy SRC DST`, `image push SRC REF`, `image pull REF DST`. */
export async function copyCommand(
  context: CommandContext,
  input: CommandInput,
  bare: BareOperands,
): Promise<Outcome> {
  const [from = '', to = ''] = input.operands
  const format = parseFormat(input.text('format'))
  if (input.flag('all') && input.text('platform') !== undefined) {
    throw new ImageError('USAGE', 'copying an image: --all and --platform exclude each other')
  }
  await using source = await openSource(from, registryAccess(context, input, 'src'), {
    bare: bare.source,
  })
  await using destination = await openDestination(to, registryAccess(context, input, 'dest'), {
    bare: bare.destination,
    from: source.reference,
  })
  const result = await copyImage(source, destination, {
    platform: wantedPlatform(input),
    all: input.flag('all'),
    format,
    preserveDigests: input.flag('preserve-digests'),
    progress: (label) => context.progress(label),
    signal: context.signal,
  })
  const digestFile = input.text('digestfile')
  if (digestFile !== undefined) await writeDigest(digestFile, result.digest)
  return {
    document: copyDocument(source.text, destination.text, result),
    text: `${destination.text}\n${result.digest}`,
  }
}

function copyDocument(source: string, destination: string, result: CopyResult): object {
  return {
    source,
    destination,
    digest: result.digest,
    mediaType: result.mediaType,
    images: result.images.map(({ digest, size, platform }) => ({
      digest,
      size,
      platform: platform === undefined ? null : formatPlatform(platform),
    })),
  }
}

function parseFormat(text: string | undefined): ManifestFormat | undefined {
  if (text === undefined || text === 'oci' || text === 'v2s2') return text
  throw new ImageError('USAGE', `reading --format: ${JSON.stringify(text)} is neither oci nor v2s2`)
}

async function writeDigest(path: string, digest: string): Promise<void> {
  try {
    await writeFile(path, digest)
  } catch (cause) {
    throw unwritable(path, cause)
  }
}
