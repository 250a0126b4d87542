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
  ],
  example: 'enclave-cc quote verify evidence/ --at 2025-07-04T10:28:44Z',
  async run(_context: CommandContext, input: CommandInput) {
    const { verifyQuoteCommand } = await import('./quote-verify.ts')
    return await verifyQuoteCommand(input)
  },
}

/** Commands about attestation evidence. */
export const commands: readonly Command[] = [quoteInspect, quoteVerify]
