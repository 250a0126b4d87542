import type { Command, OptionSpec } from '#lib/command'
import { BROKER_OPTIONS } from '../image/options.ts'

const KEY: OptionSpec = {
  flags: '--key <file>',
  help: 'key of the layer: the file of layer seal, 32 raw bytes, - for standard input, or kbs:///ns/type/tag',
}

const layerInspect: Command = {
  path: ['layer', 'inspect'],
  summary: 'Show what a sealed layer says of itself; needs no key and proves nothing',
  operands: '<file>',
  example: 'enclave-cc layer inspect app.sealed',
  run: async (_context, input) => (await import('./inspect-command.ts')).inspectCommand(input),
}

const layerVerify: Command = {
  path: ['layer', 'verify'],
  summary: 'Check every byte of a sealed layer against its key and root',
  operands: '<file>',
  options: [KEY, ...BROKER_OPTIONS],
  example: 'enclave-cc layer verify app.sealed --key app.layer-key',
  run: async (context, input) =>
    (await import('./verify-command.ts')).verifyCommand(context, input),
}

const layerCat: Command = {
  path: ['layer', 'cat'],
  summary: 'Print a file of a sealed layer, each byte checked before it is printed',
  operands: '<file> <path>',
  options: [KEY, ...BROKER_OPTIONS],
  example: 'enclave-cc layer cat app.sealed /etc/os-release --key app.layer-key',
  run: async (context, input) => (await import('./cat-command.ts')).catCommand(context, input),
}

const layerSeal: Command = {
  path: ['layer', 'seal'],
  summary: 'Seal an archive (tar, or compressed with gzip or zstd) as an enclave seals a layer',
  operands: '<archive> <file>',
  options: [
    { flags: '--key-out <file>', help: 'where to write the key and root (required), mode 0600' },
    { flags: '--force', help: 'replace existing files' },
  ],
  example: 'enclave-cc layer seal app.tar.gz app.sealed --key-out app.layer-key',
  run: async (context, input) => (await import('./seal-command.ts')).sealCommand(context, input),
}

/** Commands about sealed layers. */
export const commands: readonly Command[] = [layerInspect, layerVerify, layerCat, layerSeal]
