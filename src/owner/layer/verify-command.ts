import { equalSecret } from '#lib/bytes'
import type { CommandContext, CommandInput, Outcome, Progress } from '#lib/command'
import { claimedLength } from '#lib/erofs'
import { isCoded } from '#lib/errors'
import { CHUNK_SIZE, chunkLength, chunkOffset, createChunkOpener, TAG_LENGTH } from '#lib/sealed'
import { NOT_GENUINE } from './layer-command-error.ts'
import { type LayerKey, readLayerKey } from './layer-key.ts'
import { openSealedFile, readAt, type SealedFile, wrongLength } from './sealed-file.ts'

/** Chunks of one read: 1 MiB. */
const RUN = 256
/** Bad chunks that are listed by their numbers. */
const LISTED = 1000
/** Bytes of an EROFS block. */
const FIRST_BLOCK = 4096

/** What `layer verify --json` prints. */
export interface LayerVerdict {
  readonly ok: boolean
  /** Chunks that the header claims; 0 where there is no header. */
  readonly chunks: number
  /** Chunks whose tags were checked: all of them, or none where the file is cut. */
  readonly checkedChunks: number
  /** Chunks that are not authentic, ascending; the first 1000 of them. */
  readonly badChunks: readonly number[]
  readonly badChunkCount: number
  /** The key names a root, and it was compared. */
  readonly rootPinned: boolean
  /** The first thing that is wrong. */
  readonly code?: string
  readonly message?: string
  readonly next?: string
}

type Finding = Pick<LayerVerdict, 'code' | 'message'>

/** `layer verify FILE --key KEY`: every byte of the file, against the key and the root it names. */
export async function verifyCommand(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const [path = ''] = input.operands
  const key = await readLayerKey(context, input)
  try {
    const progress = context.progress('verifying chunks')
    const document = await judge(path, key, progress, context.signal)
    progress[document.ok ? 'done' : 'fail']()
    return { document, text: verdictText(document), exitCode: document.ok ? 0 : 1 }
  } finally {
    key.key.fill(0)
  }
}

async function judge(
  path: string,
  key: LayerKey,
  progress: Progress,
  signal: AbortSignal,
): Promise<LayerVerdict> {
  const rootPinned = key.root !== undefined
  let opened: SealedFile
  try {
    opened = await openSealedFile(path)
  } catch (error) {
    if (!isCoded(error) || error.code !== 'SEALED_FORMAT') throw error
    const none = { chunks: 0, checkedChunks: 0, badChunks: [], badChunkCount: 0, rootPinned }
    return { ok: false, ...none, ...finding(error), next: NOT_GENUINE }
  }
  await using file = opened
  const findings: Finding[] = []
  const length = wrongLength(file)
  if (length !== undefined) findings.push(mismatch(length))
  if (file.root !== undefined && key.root !== undefined && !equalSecret(file.root, key.root)) {
    findings.push(mismatch('its header or tag table is not the one that was sealed'))
  }
  const checked = await checkChunks(file, key.key, progress, signal)
  const [firstBad] = checked.badChunks
  if (firstBad !== undefined) {
    const message = `chunk ${firstBad} is not what was sealed under this key`
    findings.push({ code: 'SEALED_CHUNK', message })
  }
  // Tags say which chunk is which, not how many there are: the image inside does.
  if (!rootPinned && checked.first !== undefined && findings.length === 0) {
    findings.push(...lengthInside(checked.first, file.header.imageLength))
  }
  const [worst] = findings
  return {
    ok: worst === undefined,
    chunks: file.header.chunkCount,
    checkedChunks: checked.count,
    badChunks: checked.badChunks,
    badChunkCount: checked.bad,
    rootPinned,
    ...(worst === undefined ? {} : { ...worst, next: NOT_GENUINE }),
  }
}

interface CheckedChunks {
  readonly count: number
  readonly bad: number
  readonly badChunks: readonly number[]
  /** Plaintext of the first block, if its chunk is authentic. */
  readonly first: Uint8Array | undefined
}

async function checkChunks(
  file: SealedFile,
  key: Uint8Array,
  progress: Progress,
  signal: AbortSignal,
): Promise<CheckedChunks> {
  const { handle, header, tags } = file
  if (tags === undefined) return { count: 0, bad: 0, badChunks: [], first: undefined }
  const opener = createChunkOpener(key, header.fileId)
  const badChunks: number[] = []
  let bad = 0
  let first: Uint8Array | undefined
  try {
    for (let from = 0; from < header.chunkCount; from += RUN) {
      signal.throwIfAborted()
      const to = Math.min(from + RUN, header.chunkCount)
      const bytes = Math.min(header.imageLength, to * CHUNK_SIZE) - from * CHUNK_SIZE
      const run = await readAt(handle, chunkOffset(from), bytes)
      for (let index = from; index < to; index++) {
        const at = (index - from) * CHUNK_SIZE
        const chunk = run.subarray(at, at + chunkLength(header, index))
        const tag = tags.subarray(index * TAG_LENGTH, (index + 1) * TAG_LENGTH)
        const whole = chunk.length === chunkLength(header, index)
        if (!whole || !opener.openInPlace(index, chunk, tag)) {
          bad++
          if (badChunks.length < LISTED) badChunks.push(index)
        } else if (index === 0) {
          first = chunk.subarray(0, FIRST_BLOCK)
        }
      }
      progress.update(from * CHUNK_SIZE + bytes, header.imageLength)
    }
  } finally {
    opener.close()
  }
  return { count: header.chunkCount, bad, badChunks, first }
}

function lengthInside(first: Uint8Array, imageLength: number): Finding[] {
  let inside: number
  try {
    inside = claimedLength(first)
  } catch (error) {
    if (!isCoded(error)) throw error
    return [finding(error)]
  }
  if (inside === imageLength) return []
  return [
    mismatch(`it was cut or extended: the image inside has ${inside} bytes, not ${imageLength}`),
  ]
}

function mismatch(found: string): Finding {
  return { code: 'SEALED_MISMATCH', message: found }
}

function finding(error: { readonly code: string; readonly message: string }): Finding {
  return { code: error.code, message: error.message }
}

function verdictText(verdict: LayerVerdict): string {
  if (verdict.ok) {
    const proven = verdict.rootPinned
      ? 'every byte is the one that was sealed'
      : 'every chunk was sealed under this key; the key file names no root, so the layer id is not proven'
    return `authentic: ${verdict.chunks} chunks; ${proven}`
  }
  const { badChunks, badChunkCount, message, code, next } = verdict
  const more =
    badChunkCount > badChunks.length ? ` and ${badChunkCount - badChunks.length} more` : ''
  return [
    `not authentic: ${message} [${code}]`,
    ...(badChunkCount === 0 ? [] : [`bad chunks: ${badChunks.join(' ')}${more}`]),
    ...(verdict.checkedChunks === 0 ? ['no chunk could be checked'] : []),
    `next: ${next}`,
  ].join('\n')
}
