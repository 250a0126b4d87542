import type { Command, CommandContext, CommandInput } from '#lib/command'

const COLLATERAL_HELP =
  'directory with tcbInfo.json, tcbInfoIssuerChain.pem, qeIdentity.json, qeIdentityIssuerChain.pem, pckCrl.der, rootCaCrl.der'

/** `quote inspect FILE`: what a quote says, nothing of it verified. */
export const quoteInspect: Command = {
  path: ['quote', 'inspect'],
  summary: 'Show what a quote says, unverified',
  operands: '<file>',
  example: 'enclave-cc quote inspect evidence/quote.bin',
  async run(_context: CommandContext, input: CommandInput) {
    const { inspectQuote } = await import('./quote-inspect.ts')
    return await inspectQuote(input.operands[0] ?? '')
  },
}

/** `quote verify DIR|FILE`: the verdict on a quote; the exit code carries it. */
export const quoteVerify: Command = {
  path: ['quote', 'verify'],
  summary: 'Verify a quote with its collateral',
  operands: '<path>',
  options: [
    { flags: '--collateral <dir>', help: `${COLLATERAL_HELP} (default: the quote's directory)` },
    {
      flags: '--at <time>',
      help: 'time to judge at: RFC 3339, or "now" for this clock (required)',
    },
    { flags: '--trust-anchor <file>', help: 'root certificate, PEM or DER (default: Intel SGX)' },
    { flags: '--allow-debug', help: 'accept enclaves that the host can read; for tests only' },
    {
      flags: '--allow-status <list>',
      help: 'TCB statuses to accept beside UpToDate and SWHardeningNeeded, with commas',
    },
    { flags: '--min-tcb-evaluation <n>', help: 'lowest TCB evaluation number of the collateral' },
    { flags: '--collateral-grace <days>', help: 'take expired collateral so long, at most 7' },
  ],
  example: 'enclave-cc quote verify evidence/ --at 2025-07-04T10:28:44Z',
  async run(_context: CommandContext, input: CommandInput) {
    const { verifyQuoteCommand } = await import('./quote-verify.ts')
    return await verifyQuoteCommand(input)
  },
}

const TRUST_ANCHOR = {
  flags: '--trust-anchor <file>',
  help: 'root certificate, PEM or DER (default: Intel SGX)',
}

/** `collateral fetch DIR`: fills or refreshes a directory from Intel's service or a PCCS. */
export const collateralFetch: Command = {
  path: ['collateral', 'fetch'],
  summary: 'Fetch the collateral for the quote in a directory, unless it still lasts',
  operands: '<dir>',
  options: [
    { flags: '--pccs <url>', help: 'caching service to ask instead of Intel' },
    { flags: '--tls-ca <file>', help: 'CA of the service, PEM; exclusive' },
    { flags: '--quote <file>', help: 'quote whose platform it is for (default: DIR/quote.bin)' },
    { flags: '--fmspc <hex>', help: 'family of platforms, in place of a quote; with --ca' },
    { flags: '--ca <name>', help: 'authority of their PCK certificates: platform or processor' },
    { flags: '--tee <name>', help: 'sgx (default) or tdx, with --fmspc' },
    { flags: '--update <kind>', help: 'standard (default) or early, before a recovery counts' },
    { flags: '--refresh-ahead <days>', help: 'fetch if it ends sooner than this (default 7)' },
    { flags: '--force', help: 'fetch whatever is there' },
    TRUST_ANCHOR,
  ],
  example: 'enclave-cc collateral fetch --pccs https://pccs.example:8081 evidence/',
  async run(context: CommandContext, input: CommandInput) {
    const { collateralFetchCommand } = await import('./collateral-fetch.ts')
    return await collateralFetchCommand(context, input)
  },
}

/** `collateral export DIR`: one signed file for machines without a network. */
export const collateralExport: Command = {
  path: ['collateral', 'export'],
  summary: 'Sign the collateral of a directory into one file',
  operands: '<dir>',
  options: [
    { flags: '--key <file>', help: 'private key, PEM, Ed25519 or EC P-256 (required)' },
    { flags: '--out <file>', help: 'file to write (required)' },
    { flags: '--force', help: 'overwrite --out' },
    TRUST_ANCHOR,
  ],
  example: 'enclave-cc collateral export --key owner.pem --out collateral.json cache/',
  async run(_context: CommandContext, input: CommandInput) {
    const { collateralExportCommand } = await import('./collateral-bundle-commands.ts')
    return await collateralExportCommand(input)
  },
}

/** `collateral import DIR`: the other side of `export`. */
export const collateralImport: Command = {
  path: ['collateral', 'import'],
  summary: 'Verify a signed file of collateral and unpack it into a directory',
  operands: '<dir>',
  options: [
    { flags: '--key <file>', help: 'public key of who exported it, PEM (required)' },
    { flags: '--in <file>', help: 'file that collateral export wrote (required)' },
    TRUST_ANCHOR,
  ],
  example: 'enclave-cc collateral import --key owner.pub.pem --in collateral.json cache/',
  async run(_context: CommandContext, input: CommandInput) {
    const { collateralImportCommand } = await import('./collateral-bundle-commands.ts')
    return await collateralImportCommand(input)
  },
}

/** Commands about attestation evidence. */
export const commands: readonly Command[] = [
  quoteInspect,
  quoteVerify,
  collateralFetch,
  collateralExport,
  collateralImport,
]
