import type { Command, OptionSpec } from '#lib/command'
import { ALL_OPTION, COPY_OPTIONS, IMAGE_OPTIONS, PLATFORM_OPTION } from './options.ts'

const COPY: readonly OptionSpec[] = [
  ALL_OPTION,
  PLATFORM_OPTION,
  { flags: '--preserve-digests', help: 'fail rather than write another digest' },
  { flags: '--format <oci|v2s2>', help: 'convert manifests to OCI or docker schema 2' },
  { flags: '--digestfile <file>', help: 'write the digest of what was written to a file' },
  ...COPY_OPTIONS,
]

/** `image copy SRC DST`: between registries and layouts. */
export const imageCopy: Command = {
  path: ['image', 'copy'],
  summary: 'Copy an image between registries and OCI layouts',
  operands: '<source> <destination>',
  options: COPY,
  example: 'enclave-cc image copy docker://docker.io/library/alpine:3.20 oci:images:alpine',
  run: async (context, input) =>
    (await import('./copy-command.ts')).copyCommand(context, input, {
      source: false,
      destination: false,
    }),
}

/** `image push SRC REF`: copy into a registry. */
export const imagePush: Command = {
  path: ['image', 'push'],
  summary: 'Push an image to a registry',
  operands: '<source> <ref>',
  options: COPY,
  example: 'enclave-cc image push oci:images:app registry.example/team/app:1.0',
  run: async (context, input) =>
    (await import('./copy-command.ts')).copyCommand(context, input, {
      source: false,
      destination: true,
    }),
}

/** `image pull REF DST`: copy out of a registry. */
export const imagePull: Command = {
  path: ['image', 'pull'],
  summary: 'Pull an image from a registry',
  operands: '<ref> <destination>',
  options: COPY,
  example: 'enclave-cc image pull registry.example/team/app:1.0 oci:images:app',
  run: async (context, input) =>
    (await import('./copy-command.ts')).copyCommand(context, input, {
      source: true,
      destination: false,
    }),
}

/** `image inspect REF`: what can be known without any key. */
export const imageInspect: Command = {
  path: ['image', 'inspect'],
  summary: 'Show layers, recipients, signatures and configuration of an image',
  operands: '<ref>',
  options: [
    {
      flags: '--raw',
      help: 'the manifest or index, or with --config the configuration, as served',
    },
    { flags: '--config', help: 'the configuration of the image' },
    PLATFORM_OPTION,
    ...IMAGE_OPTIONS,
  ],
  example: 'enclave-cc image inspect registry.example/team/app:1.0',
  run: async (context, input) =>
    (await import('./inspect-command.ts')).inspectCommand(context, input),
}
