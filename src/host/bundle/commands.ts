import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from '#lib/command'
import { CodedError } from '#lib/errors'
import { buildBundle } from './build.ts'
import { type BundleDiff, diffBundles } from './diff.ts'
import { readHandover } from './handover-option.ts'
import { type Measurement, measureBundle } from './measure.ts'

const build: Command = {
  path: ['bundle', 'build'],
  summary: 'Build the enclave bundle: one read-only image and two signed manifests',
  options: [
    { flags: '--out <dir>', help: 'where to put it (default ROOT/bundles/default)' },
    { flags: '--sign-key <file>', help: 'RSA-3072 key with exponent 3 (default: a public key)' },
    { flags: '--debug', help: 'enclaves that owners refuse by default' },
    { flags: '--handover <form>', help: 'how the enclaves prove themselves: report, quote' },
    { flags: '--trust-anchor <file>', help: 'root certificate of the quotes (quote)' },
    { flags: '--min-tcb-evaluation <n>', help: 'lowest TCB evaluation number (quote)' },
  ],
  example: 'enclave-cc bundle build --out ./bundle',
  run: async (context, input) => {
    const out = resolve(input.text('out') ?? join(context.places.root, 'bundles', 'default'))
    const signKey = input.text('sign-key')
    const epoch = context.env.SOURCE_DATE_EPOCH
    if (epoch !== undefined && !/^\d{1,12}$/.test(epoch)) {
      throw new CodedError('USAGE', `SOURCE_DATE_EPOCH=${epoch} is not a number of seconds`)
    }
    const handover = readHandover(input)
    const progress = context.progress('build bundle')
    try {
      await buildBundle({
        out,
        dist: context.program.dist,
        node: context.program.node,
        arch: process.arch,
        debug: input.flag('debug'),
        signal: context.signal,
        ...(handover && { handover }),
        ...(signKey === undefined ? {} : { signKey: readFileSync(signKey, 'utf8') }),
        ...(epoch === undefined ? {} : { builtAt: Number(epoch) }),
      })
    } catch (error) {
      progress.fail()
      throw error
    }
    progress.done(out)
    const document = measureBundle(out)
    return { document, text: measurementText(document) }
  },
}

const measure: Command = {
  path: ['bundle', 'measure'],
  summary: 'Print the measurements of a bundle without starting it',
  operands: '<dir>',
  example: 'enclave-cc bundle measure ./bundle --json',
  run: async (_context, input) => {
    const document = measureBundle(input.operands[0] ?? '')
    return { document, text: measurementText(document) }
  },
}

const diff: Command = {
  path: ['bundle', 'diff'],
  summary: 'Say which files make two bundles measure differently (exit 0 same, 1 differs, 2 error)',
  operands: '<dir> <dir>',
  example: 'enclave-cc bundle diff ./bundle ./bundle-of-yesterday',
  run: async (_context, input) => {
    try {
      const document = diffBundles(input.operands[0] ?? '', input.operands[1] ?? '')
      return { document, text: diffText(document), exitCode: document.same ? 0 : 1 }
    } catch (error) {
      throw error instanceof Error ? Object.assign(error, { exitCode: 2 }) : error
    }
  },
}

/** Commands of bundles. */
export const commands: readonly Command[] = [build, measure, diff]

function measurementText(measurement: Measurement): string {
  const lines = measurement.enclaves.map(
    (e) =>
      `${e.program.padEnd(6)} mrEnclave ${e.mrEnclave}  product ${e.isvProdId}  svn ${e.isvSvn}${e.debug ? '  DEBUG' : ''}${e.handover === 'quote' ? '  QUOTES' : ''}`,
  )
  const signer = measurement.enclaves[0]?.mrSigner ?? ''
  const { sha256, size } = measurement.image
  return [
    ...lines,
    `signer ${signer}`,
    `image  sha256:${sha256}  ${(size / 1048576).toFixed(1)} MiB, ${measurement.files.length} files`,
  ].join('\n')
}

function diffText(found: BundleDiff): string {
  if (found.same) return 'the same measurements'
  const files = found.changed.map(({ path, before, after }) => {
    const how = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed'
    return `${how.padEnd(8)} ${path}`
  })
  const attributes = found.attributes.map(
    ({ name, before, after }) => `${'attribute'.padEnd(8)} ${name}: ${before} → ${after}`,
  )
  return [...files, ...attributes].join('\n')
}
