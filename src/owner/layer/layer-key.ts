import { copyOf, FormatError, toBase64, toHex, utf8 } from '#lib/bytes'
import type { CommandContext, CommandInput } from '#lib/command'
import { base64, hex, integer, object, optional, parseJson } from '#lib/json'
import { brokerResources } from '../image/broker-resources.ts'
import { readInput } from '../image/key-files.ts'
import { LayerCommandError } from './layer-command-error.ts'

/** Key of one sealed layer (docs/formats/layer-key.md), 32 bytes, and the root of its file, 32 bytes. */
export interface LayerKey {
  readonly key: Uint8Array
  /** Absent: the file is not pinned beyond its key. */
  readonly root?: Uint8Array
}

const KEY_LENGTH = 32
const ROOT_LENGTH = 32
const VERSION = 1
const MAX_FILE = 4096

/** Parses a layer key in either form. Throws LayerCommandError `LAYER_KEY_INVALID`. */
export function parseLayerKey(bytes: Uint8Array): LayerKey {
  if (bytes.length === KEY_LENGTH) return { key: copyOf(bytes) }
  try {
    const members = object(
      parseJson(bytes, { name: 'layer key', maxBytes: MAX_FILE, maxDepth: 2 }),
      'layer key',
      ['version', 'key', 'root'],
    )
    integer(members.version, 'layer key.version', VERSION, VERSION)
    const key = base64(members.key, 'layer key.key', KEY_LENGTH)
    const root = optional(members.root, (value) => hex(value, 'layer key.root', ROOT_LENGTH))
    return { key, ...(root === undefined ? {} : { root }) }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    const message = `reading a layer key: ${cause.message}`
    throw new LayerCommandError('LAYER_KEY_INVALID', message, { cause })
  }
}

/** The JSON form, with a line end. */
export function encodeLayerKey({ key, root }: LayerKey): Uint8Array {
  const document = {
    version: VERSION,
    key: toBase64(key),
    ...(root === undefined ? {} : { root: toHex(root) }),
  }
  return utf8(`${JSON.stringify(document)}\n`)
}

/**
 * Reads the value of `--key`: a file, `-` for standard input, or `kbs:///ns/type/tag` from the
 * broker as its owner. Throws `USAGE` where it is missing, `INPUT_UNREADABLE`, `LAYER_KEY_INVALID`.
 */
export async function readLayerKey(
  context: CommandContext,
  input: CommandInput,
): Promise<LayerKey> {
  const value = input.text('key')
  if (value === undefined) {
    throw new LayerCommandError('USAGE', 'opening a sealed layer: --key is missing', {
      next: 'add --key FILE, the key file that layer seal wrote, or --key kbs:///ns/layer-key/tag',
    })
  }
  if (value === '-') {
    const bytes = await context.stdin(MAX_FILE)
    const key = parseLayerKey(bytes)
    bytes.fill(0)
    return key
  }
  if (!value.startsWith('kbs:')) return parseLayerKey(await readInput(value, MAX_FILE))
  using broker = brokerResources(context, input)
  const bytes = await (await broker.connect()).get(value)
  if (bytes !== undefined) return parseLayerKey(bytes)
  const message = `reading ${value}: the broker has no such resource`
  throw new LayerCommandError('INPUT_UNREADABLE', message, {
    next: `put the key there with enclave-cc kbs resource set ${value} FILE`,
  })
}
