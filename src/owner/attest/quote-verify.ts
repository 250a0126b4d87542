import {
  type AnyTcbStatus,
  DEFAULT_TCB_STATUSES,
  peekTeeType,
  type QuotePolicy,
  type QuoteResult,
  TCB_STATUSES,
  TD_RELAUNCH_STATUSES,
  type TdQuoteResult,
  TEE_TDX,
  verifyQuote,
  verifyTdQuote,
} from '#lib/attest'
import { type CommandInput, type Outcome, printable } from '#lib/command'
import { CodedError } from '#lib/errors'
import { readEvidence } from './evidence-files.ts'
import { readAnchor } from './trust-anchor-file.ts'

type Facts = readonly (readonly [string, unknown])[]

const DAY = 86_400_000
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/

/** Runs `quote verify`: the verdict is the document, exit code 1 says no. */
export async function verifyQuoteCommand(input: CommandInput): Promise<Outcome> {
  const now = parseTime(input.text('at'))
  const policy = parsePolicy(input)
  const anchor = await readAnchor(input.text('trust-anchor'))
  const { quote, collateral } = await readEvidence(
    input.operands[0] ?? '',
    input.text('collateral'),
  )
  const collateralGrace = parseGrace(input.text('collateral-grace'))
  const subject = { quote, collateral, anchors: [anchor], now, policy, collateralGrace }
  if (peekTeeType(quote) === TEE_TDX) return outcomeOfTd(verifyTdQuote(subject))
  const result = verifyQuote(subject)
  const { evidence: _, ...found } = result
  const document = { tee: 'sgx', ...found }
  const facts: Facts = [
    ['MRENCLAVE', result.mrEnclave],
    ['MRSIGNER', result.mrSigner],
    ['product', result.isvProdId],
    ['version', result.isvSvn],
  ]
  return { document, text: describe(result, facts), exitCode: result.accepted ? 0 : 1 }
}

/** Members of the contract that a trust domain does not have are null; `tee` says why. */
function outcomeOfTd(result: TdQuoteResult): Outcome {
  const { evidence: _, ...found } = result
  const document = {
    tee: 'tdx',
    ...found,
    mrEnclave: null,
    mrSigner: null,
    isvProdId: null,
    isvSvn: null,
    configId: null,
  }
  const facts: Facts = [
    ['technology', 'TDX: a trust domain, no enclave'],
    ['TDX module', result.moduleStatus],
    ['MRTD', result.mrTd],
    ...result.rtmr.map((value, i): Facts[number] => [`RTMR${i}`, value]),
  ]
  return { document, text: describe(result, facts), exitCode: result.accepted ? 0 : 1 }
}

function parsePolicy(input: CommandInput): QuotePolicy {
  const number = input.text('min-tcb-evaluation')
  if (number !== undefined && !/^\d{1,9}$/.test(number)) {
    throw usage('--min-tcb-evaluation', 'is not a number')
  }
  return {
    allowDebug: input.flag('allow-debug'),
    tcbStatuses: [...DEFAULT_TCB_STATUSES, ...parseStatuses(input.text('allow-status'))],
    ...(number !== undefined && { minTcbEvaluationDataNumber: Number(number) }),
  }
}

function parseStatuses(list: string | undefined): AnyTcbStatus[] {
  const allowed = [...TCB_STATUSES, ...TD_RELAUNCH_STATUSES].filter(
    (status) => status !== 'Revoked',
  )
  return (list?.split(',') ?? []).map((word) => {
    const status = allowed.find((candidate) => candidate === word.trim())
    if (status !== undefined) return status
    throw usage('--allow-status', `knows no ${JSON.stringify(word)}`, `use ${allowed.join(', ')}`)
  })
}

function parseGrace(days: string = '0'): number {
  if (/^[0-7]$/.test(days)) return Number(days) * DAY
  throw usage('--collateral-grace', 'is not 0 to 7 days')
}

function parseTime(text: string | undefined): Date {
  if (text === undefined) {
    throw usage('--at', 'is missing', 'pass --at now, or the time to judge at (RFC 3339)')
  }
  if (text === 'now') return new Date()
  const time = new Date(RFC_3339.test(text) ? text : Number.NaN)
  if (Number.isNaN(time.getTime())) {
    throw usage('--at', 'is not a time', 'use RFC 3339, for example 2025-07-04T10:28:44Z')
  }
  return time
}

function usage(flag: string, found: string, next?: string): CodedError {
  return new CodedError(
    'USAGE',
    `quote verify: ${flag} ${found}`,
    next === undefined ? {} : { next },
  )
}

function describe(result: QuoteResult | TdQuoteResult, more: Facts): string {
  const verdict = result.accepted
    ? 'accepted'
    : `${result.verified ? 'genuine, but not accepted' : 'not verified'} [${result.code}]`
  const facts: Facts = [
    ['platform', result.platform],
    ['TCB status', result.status],
    ['advisories', result.advisoryIds.join(', ') || undefined],
    ['evaluation', result.tcbEvaluationDataNumber],
    ['debug', result.debug],
    ...more,
    ['FMSPC', result.fmspc],
  ]
  const lines = [verdict]
  for (const [name, value] of facts) {
    if (value !== undefined && value !== null) lines.push(`${name.padEnd(12)}${value}`)
  }
  for (const { name, ok, expected, actual } of result.checks) {
    const wanted = ok || expected === undefined ? '' : `, expected ${expected}`
    lines.push(
      `${ok ? 'ok  ' : 'FAIL'} ${name}${actual === undefined ? '' : `: ${actual}`}${wanted}`,
    )
  }
  if (result.next !== undefined) lines.push(`next: ${result.next}`)
  return lines.map(printable).join('\n')
}
