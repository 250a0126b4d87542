import { createHash } from 'node:crypto'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import {
  type ErofsEntry,
  findErofs,
  quote,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from '#lib/erofs'
import { LayerCommandError } from './layer-command-error.ts'
import { readLayerKey } from './layer-key.ts'
import { openSealedFile } from './sealed-file.ts'
import { openImage } from './sealed-image.ts'

/** Bytes of one piece of output. */
const PIECE = 1024 * 1024

/** `layer cat FILE PATH --key KEY`: the bytes of one file, each checked before it is printed. */
export async function catCommand(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const [file = '', path = ''] = input.operands
  await using stack = new AsyncDisposableStack()
  const key = await readLayerKey(context, input)
  stack.defer(() => void key.key.fill(0))
  const sealed = stack.use(await openSealedFile(file))
  const entry = findErofs(stack.use(openImage(sealed, key)), path)
  requireFile(path, entry)
  const content = contentOf(entry, context.signal)
  if (!context.json) return { stream: closing(content, stack.move()) }
  const hash = createHash('sha256')
  for (const piece of content) hash.update(piece)
  const found = Buffer.from(entry.path).toString('utf8')
  const digest = `sha256:${hash.digest('hex')}`
  return { document: { path: `/${found}`, size: entry.size, digest } }
}

function* contentOf(
  entry: ErofsEntry,
  signal: AbortSignal,
): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < entry.size; at += PIECE) {
    signal.throwIfAborted()
    yield entry.content(at, PIECE)
  }
}

/** The pieces; then, or when nobody wants more, what they were read from is closed. */
async function* closing(
  pieces: Iterable<Uint8Array>,
  stack: AsyncDisposableStack,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using _open = stack
  yield* pieces
}

const KINDS: Readonly<Record<number, string>> = {
  [S_IFDIR]: 'a directory',
  [S_IFCHR]: 'a character device',
  [S_IFBLK]: 'a block device',
  [S_IFIFO]: 'a fifo',
  [S_IFSOCK]: 'a socket',
}

function requireFile(path: string, entry: ErofsEntry): void {
  const type = entry.mode & S_IFMT
  if (type === S_IFREG) return
  const deleted = type === S_IFCHR && entry.rdev === 0
  const kind = deleted ? 'deleted by this layer (a whiteout)' : (KINDS[type] ?? 'not a file')
  throw new LayerCommandError('LAYER_NOT_FILE', `printing ${quote(path)}: it is ${kind}`)
}
