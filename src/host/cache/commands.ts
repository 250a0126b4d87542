import {
  type Command,
  type CommandContext,
  type CommandInput,
  formatByteSize,
  parseByteSize,
} from '#lib/command'
import { CodedError } from '#lib/errors'
import { LayerStore } from './layer-store.ts'

const ls: Command = {
  path: ['cache', 'ls'],
  summary: 'List the sealed layers that this node keeps, least recently used first',
  example: 'enclave-cc cache ls --json',
  async run(context) {
    const layers = storeOf(context).list()
    const lines = layers.map(
      ({ name, size, lastUsed, inUse }) =>
        `${name.slice(0, 16)}  ${formatByteSize(size).padStart(8)}  ${lastUsed.toISOString()}${inUse ? '  in use' : ''}`,
    )
    const total = layers.reduce((sum, { size }) => sum + size, 0)
    return {
      document: layers.map((layer) => ({ ...layer, lastUsed: layer.lastUsed.toISOString() })),
      text: [...lines, `${layers.length} layers, ${formatByteSize(total)}`].join('\n'),
    }
  },
}

const gc: Command = {
  path: ['cache', 'gc'],
  summary: 'Remove what no layer needs, then the least recently used layers above the limit',
  options: [
    { flags: '--max-size <size>', help: 'keep so much, as 500M or 2G (default: as configured)' },
  ],
  example: 'enclave-cc cache gc --max-size 2G',
  async run(context, input) {
    const done = storeOf(context).collect(maxSize(context, input))
    const text = `removed ${done.removed.length}, freed ${formatByteSize(done.freed)}`
    return { document: done, text }
  },
}

const verify: Command = {
  path: ['cache', 'verify'],
  summary: 'Check records and headers; tags and content need the keys, which only enclaves get',
  example: 'enclave-cc cache verify --json',
  async run(context) {
    const verdict = storeOf(context).verify()
    const { ok, records, bad, leftovers, unknown } = verdict
    const text = [
      ...bad.map(({ file, found }) => `bad       ${file}: ${found}`),
      ...leftovers.map((file) => `leftover  ${file}`),
      ...unknown.map((file) => `unknown   ${JSON.stringify(file)}`),
      `${records} records, ${bad.length} bad; what is inside was not checked: agents do, when they use it`,
    ].join('\n')
    return { document: verdict, text, exitCode: ok ? 0 : 1 }
  },
}

function storeOf({ places }: CommandContext): LayerStore {
  return new LayerStore(places.root)
}

function maxSize({ cache }: CommandContext, input: CommandInput): number {
  const text = input.text('max-size')
  const size = text === undefined ? cache.maxSize : parseByteSize(text)
  if (size !== undefined) return size
  throw new CodedError('USAGE', `--max-size ${text}: it is no size, as 500M or 2G`)
}

/** Commands of the layer cache. */
export const commands: readonly Command[] = [ls, gc, verify]
