import { join } from 'node:path'
import {
  type CollateralFacts,
  type CollateralSet,
  claimedAuthority,
  collateralFacts,
  type ParsedFrame,
  parseCertificationData,
  parseQuote,
  parseTdQuote,
  peekTeeType,
  TEE_TDX,
  type TrustAnchor,
  verifyCollateralSet,
  verifyPckChain,
} from '#lib/attest'
import { FormatError, fromHex, fromUtf8 } from '#lib/bytes'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { CodedError, isCoded } from '#lib/errors'
import { createHttpTransport } from '#platform/http'
import {
  type CollateralService,
  fetchCollateral,
  fetchPckChain,
  INTEL_PCS,
  type PlatformFamily,
  type Update,
} from './collateral-client.ts'
import { factsOf, readSet, writeSet } from './collateral-store.ts'
import { readInput, readOptional, readQuoteFile } from './evidence-files.ts'
import { readAnchor } from './trust-anchor-file.ts'

const DAY = 86_400_000

/** What `refreshCollateral` is asked for. */
export interface RefreshOptions {
  readonly directory: string
  readonly service: CollateralService
  readonly update: Update
  readonly anchors: readonly TrustAnchor[]
  /** Milliseconds since 1970. */
  readonly now: number
  /** What is there is kept while it lasts longer than this, in milliseconds. */
  readonly ahead: number
  /** Fetch whatever is there. */
  readonly force: boolean
  /** Default: the platform of the quote in the directory. */
  readonly family?: PlatformFamily
  /** Default: `quote.bin` of the directory, if it is there. */
  readonly quote?: Uint8Array
}

/**
 * Brings the collateral in a directory up to date. Fetched sets are verified under the anchors and
 * never replace a newer one. Throws AttestError, HttpError or CodedError.
 */
export async function refreshCollateral(
  options: RefreshOptions,
): Promise<{ readonly facts: CollateralFacts; readonly fetched: boolean }> {
  const { directory, service, anchors, now } = options
  const stored = await readSet(directory)
  const quote = options.quote && parseAny(options.quote)
  const chain = quote && (await chainFor(quote, stored, options))
  const family = options.family ?? (quote && chain && familyOf(quote, chain))
  if (family === undefined) {
    throw new CodedError('USAGE', 'collateral fetch: which platforms is it for?', {
      next: 'put quote.bin into the directory, or pass --quote or --fmspc and --ca',
    })
  }
  const current = stored && factsOf(() => verifyCollateralSet(stored, anchors, now))
  const enough = current !== undefined && isFor(current, family) && !needsFetch(current, options)
  // A chain from a service is stored even where the rest still lasts.
  if (enough && (chain === undefined || quote?.certificationType === 5 || stored?.pckCertChain)) {
    return { facts: current, fetched: false }
  }
  const set: CollateralSet = {
    ...(await fetchCollateral(service, family, options.update)),
    ...(chain && quote?.certificationType !== 5 && { pckCertChain: chain }),
  }
  const facts = verifyCollateralSet(set, anchors, now)
  if (!isFor(facts, family)) {
    throw new CodedError('TCB_INFO_MISMATCH', 'fetching collateral: it is of other platforms', {
      details: { field: 'fmspc', actual: facts.fmspc },
    })
  }
  const known = stored && factsOf(() => collateralFacts(stored, anchors))
  await writeSet(directory, set, facts, known)
  return { facts, fetched: true }
}

/** Runs `collateral fetch`. */
export async function collateralFetchCommand(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const directory = input.operands[0] ?? ''
  const ca = input.text('tls-ca')
  const base = originOf(input.text('pccs') ?? INTEL_PCS)
  using transport = createHttpTransport({
    proxyEnv: context.env,
    ...(ca !== undefined && { ca: [fromUtf8(await readInput(ca), '--tls-ca')] }),
  })
  const quotePath = input.text('quote')
  const quote =
    quotePath === undefined
      ? await readOptional(join(directory, 'quote.bin'))
      : (await readQuoteFile(quotePath)).quote
  const family = parseFamily(input)
  const ahead = Number(input.text('refresh-ahead') ?? '7')
  if (!Number.isInteger(ahead) || ahead < 0 || ahead > 365) {
    throw usage('--refresh-ahead', 'is no number of days')
  }
  const { facts, fetched } = await refreshCollateral({
    directory,
    service: { base, transport: transport.send, signal: context.signal },
    update: parseUpdate(input.text('update')),
    anchors: [await readAnchor(input.text('trust-anchor'))],
    now: Date.now(),
    ahead: ahead * DAY,
    force: input.flag('force'),
    ...(family && { family }),
    // A family that was named has no use for the quote of another one.
    ...(quote && !family && { quote }),
  })
  const refreshAfter = facts.expires - ahead * DAY
  const document = { directory, fetched, ...describeFacts(facts), refreshAfter: time(refreshAfter) }
  const text = [
    `${fetched ? 'fetched' : 'still good'}: ${facts.tee} ${facts.fmspc}, ${facts.ca} CA`,
    `evaluation ${facts.tcbInfoNumber}, PCK CRL ${facts.pckCrlNumber}, until ${time(facts.expires)}`,
  ].join('\n')
  return { document, text }
}

/** Facts of a set as JSON of the commands. */
export function describeFacts(facts: CollateralFacts): Record<string, unknown> {
  return {
    tee: facts.tee,
    fmspc: facts.fmspc,
    pceId: facts.pceId,
    ca: facts.ca,
    platform: facts.platform,
    rootKey: facts.rootKey,
    tcbEvaluationDataNumber: Math.min(facts.tcbInfoNumber, facts.qeIdentityNumber),
    pckCrlNumber: String(facts.pckCrlNumber),
    rootCrlNumber: String(facts.rootCrlNumber),
    issuedAt: time(facts.issued),
    expiresAt: time(facts.expires),
  }
}

function needsFetch(facts: CollateralFacts, { force, now, ahead }: RefreshOptions): boolean {
  return force || facts.expires - now < ahead
}

function isFor(facts: CollateralFacts, { tee, fmspc, ca }: PlatformFamily): boolean {
  return facts.tee === tee && facts.ca === ca && facts.fmspc === Buffer.from(fmspc).toString('hex')
}

function parseAny(bytes: Uint8Array): ParsedFrame {
  return peekTeeType(bytes) === TEE_TDX ? parseTdQuote(bytes) : parseQuote(bytes)
}

/** The quote's own chain, the stored one, or what the service has for its PPID. */
async function chainFor(
  quote: ParsedFrame,
  stored: CollateralSet | undefined,
  { service, anchors, force }: RefreshOptions,
): Promise<Uint8Array | undefined> {
  const data = parseCertificationData(quote)
  if (data.kind === 'pck-chain') return data.bytes
  const kept = stored?.pckCertChain
  if (data.kind !== 'ppid') return kept
  // A chain that is no good would otherwise stay for ever.
  if (kept !== undefined && !force && isPckChain(kept, anchors)) return kept
  return await fetchPckChain(service, data, quote.userData.subarray(0, 16))
}

function isPckChain(pem: Uint8Array, anchors: readonly TrustAnchor[]): boolean {
  try {
    verifyPckChain(pem, anchors)
    return true
  } catch (error) {
    if (isCoded(error)) return false
    throw error
  }
}

function familyOf(quote: ParsedFrame, chain: Uint8Array): PlatformFamily {
  const { fmspc, ca } = claimedAuthority(chain)
  return { tee: quote.teeType === TEE_TDX ? 'tdx' : 'sgx', fmspc, ca }
}

function parseFamily(input: CommandInput): PlatformFamily | undefined {
  const text = input.text('fmspc')
  if (text === undefined) return undefined
  const ca = input.text('ca')
  const tee = input.text('tee') ?? 'sgx'
  if (ca !== 'platform' && ca !== 'processor')
    throw usage('--ca', 'is neither platform nor processor')
  if (tee !== 'sgx' && tee !== 'tdx') throw usage('--tee', 'is neither sgx nor tdx')
  try {
    return { tee, fmspc: fromHex(text, 'fmspc', 6), ca }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw usage('--fmspc', 'is not 12 hexadecimal digits')
  }
}

function parseUpdate(text: string = 'standard'): Update {
  if (text === 'early' || text === 'standard') return text
  throw usage('--update', 'is neither early nor standard')
}

function originOf(text: string): URL {
  const url = URL.parse(text)
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return new URL(url.origin)
  throw usage('--pccs', 'is no URL with https or http')
}

function usage(flag: string, found: string): CodedError {
  return new CodedError('USAGE', `collateral fetch: ${flag} ${found}`)
}

function time(at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}
