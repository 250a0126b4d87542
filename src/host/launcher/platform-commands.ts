import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { utf8 } from '#lib/bytes'
import type { Command, CommandContext, CommandInput, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import type { PlatformSummary, Rehearsal, SimPlatform } from './sim/index.ts'

/** `platform show`: the simulated platform of this node; it is created if there is none. */
export const platformShow: Command = {
  path: ['platform', 'show'],
  summary: 'Show the simulated platform of this node',
  example: 'enclave-cc platform show --json',
  async run(context) {
    const summary = await (await open(context)).show()
    return { document: summary, text: describe(summary) }
  },
}

/** `platform export-root FILE`: the certificate that a broker must be told to trust. */
export const platformExportRoot: Command = {
  path: ['platform', 'export-root'],
  summary: 'Write the root certificate of the simulated platform',
  operands: '<file>',
  options: [{ flags: '--force', help: 'replace a file that holds something else' }],
  example: 'enclave-cc platform export-root sim-root.pem',
  async run(context, input) {
    const platform = await open(context)
    const pem = platform.exportRoot()
    const file = input.operands[0] ?? '-'
    if (file !== '-') await writeRoot(file, pem, input.flag('force'))
    const { root } = await platform.show()
    const document = { file, certificateSha256: root.certificateSha256 }
    if (file === '-') return { document, bytes: utf8(pem) }
    return { document, text: `${file}: root certificate, SHA-256 ${root.certificateSha256}` }
  },
}

/** `platform set SETTING… --rehearsal`: makes attestation fail in a chosen way, or not any more. */
export const platformSet: Command = {
  path: ['platform', 'set'],
  summary:
    'Rehearse refusals: tcb|qe=up-to-date|out-of-date|revoked pck|pck-ca|tcb-signer=valid|revoked collateral=current|[crl-|tcb-info-|qe-identity-]expired debug=on|off normal',
  operands: '<setting...>',
  options: [{ flags: '--rehearsal', help: 'confirm that attestation shall fail on purpose' }],
  example: 'enclave-cc platform set tcb=out-of-date --rehearsal',
  async run(context, input): Promise<Outcome> {
    const change = await parseChange(input)
    if (!input.flag('rehearsal')) {
      const { PlatformError } = await import('./sim/index.ts')
      throw new PlatformError(
        'PLATFORM_REHEARSAL_NEEDED',
        `setting ${input.operands.join(' ')}: it changes what every enclave of this node attests`,
      )
    }
    const summary = await (await open(context)).rehearse(change)
    return { document: summary, text: describe(summary) }
  },
}

async function open(context: CommandContext): Promise<SimPlatform> {
  const { openPlatform } = await import('./sim/index.ts')
  return await openPlatform(join(context.places.root, 'platform'))
}

async function parseChange(input: CommandInput): Promise<Partial<Rehearsal>> {
  const { parseSetting, SETTING_NAMES } = await import('./sim/index.ts')
  const changes = input.operands.map((setting) => {
    const change = parseSetting(setting)
    if (change !== undefined) return change
    throw new CodedError('USAGE', `platform set: there is no setting ${JSON.stringify(setting)}`, {
      next: `use one of ${SETTING_NAMES.join(', ')}`,
    })
  })
  return Object.assign({}, ...changes)
}

/** The certificate is public, yet a file that holds something else is not ours to replace. */
async function writeRoot(file: string, pem: string, force: boolean): Promise<void> {
  try {
    await writeFile(file, pem, { flag: force ? 'w' : 'wx', mode: 0o644 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if ((await readFile(file, 'utf8')) === pem) return
    throw new CodedError('OUTPUT_EXISTS', `writing ${file}: it exists and holds something else`)
  }
}

function describe(summary: PlatformSummary): string {
  const { rehearsal, collateral, root } = summary
  return [
    'simulated platform: the operator of this machine can read memory and mint any measurement',
    `directory   ${summary.directory}, created ${summary.createdAt}`,
    `root        SHA-256 ${root.certificateSha256}, until ${root.notAfter}`,
    `platform    FMSPC ${summary.fmspc}, PCE ${summary.pceId}, instance ${summary.platformInstanceId}`,
    `collateral  issue ${collateral.number}, evaluation ${collateral.tcbEvaluationDataNumber}, until ${collateral.validUntil}`,
    `rehearsal   tcb=${rehearsal.tcb} qe=${rehearsal.qe} pck=${rehearsal.pck} pck-ca=${rehearsal.pckCa} tcb-signer=${rehearsal.tcbSigner}`,
    `            collateral=${rehearsal.collateral} debug=${rehearsal.debug ? 'on' : 'off'}`,
  ].join('\n')
}
