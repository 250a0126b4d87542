import { toHex } from '#lib/bytes'
import { FLAGS } from './attributes.ts'
import { encodeReportBody } from './report.ts'
import type { QuoteResult } from './verify.ts'

const SGX_TYPES = ['Standard', 'Scalable', 'Scalable with Integrity'] as const

/** Claims about an SGX quote, with the names that CoCo's verifier uses. */
export interface SgxClaims {
  /** Header fields, lower-case hex of the bytes as they lie in the quote. */
  readonly header: Readonly<Record<string, string>>
  /** Report body fields, lower-case hex of the bytes as they lie in the quote. */
  readonly body: Readonly<Record<string, string>>
  readonly report_data: string
  /** CONFIGID: always there, so its presence does not mean that it was compared. */
  readonly init_data: string
  readonly [claim: string]: unknown
}

/**
 * Makes the claims of a verified quote, for appraisal policies. Ours beyond CoCo's names:
 * `platform` (`simulated` or `sgx`), `debug` and `kss`. TypeError for a result that is not
 * verified: there is nothing to claim then. Whether it was accepted is the caller's duty.
 */
export function sgxClaims(result: QuoteResult): SgxClaims {
  const { evidence } = result
  if (!result.verified || evidence === undefined) {
    throw new TypeError('claims need a verified quote')
  }
  const { quote, pck, tcb, window, anchor } = evidence
  const { platform } = pck
  return {
    header: headerClaims(quote),
    body: bodyClaims(quote.body),
    report_data: toHex(quote.body.reportData),
    init_data: toHex(quote.body.configId),
    platform: anchor.platform,
    debug: (quote.body.flags & FLAGS.DEBUG) !== 0n,
    kss: (quote.body.flags & FLAGS.KSS) !== 0n,
    tcb_status: tcb.status,
    tcb_date: time(tcb.date),
    tcb_eval_num: evidence.tcbEvaluationDataNumber,
    advisory_ids: [...tcb.advisoryIds],
    // Expired collateral comes this far only within a grace that the relying party gave.
    collateral_expiration_status: evidence.expiredAt === undefined ? '0' : '1',
    earliest_issue_date: time(window.earliestIssue),
    latest_issue_date: time(window.latestIssue),
    earliest_expiration_date: time(window.earliestExpiration),
    pck_crl_num: crlNumber(evidence.pckCrlNumber),
    root_ca_crl_num: crlNumber(evidence.rootCrlNumber),
    root_key_id: anchor.keyId,
    platform_provider_id: toHex(pck.ppid),
    fmspc: toHex(pck.fmspc),
    sgx_type: SGX_TYPES[pck.sgxType],
    ...(platform && {
      platform_instance_id: toHex(Uint8Array.from(platform.instanceId).reverse()),
      ...(platform.dynamicPlatform !== undefined && {
        is_dynamic_platform: platform.dynamicPlatform,
      }),
      ...(platform.cachedKeys !== undefined && { is_cached_keys: platform.cachedKeys }),
      ...(platform.smtEnabled !== undefined && { is_smt_enabled: platform.smtEnabled }),
    }),
  }
}

type Quote = NonNullable<QuoteResult['evidence']>['quote']

function headerClaims(quote: Quote): Record<string, string> {
  const { signed } = quote
  const hex = (from: number, to: number): string => toHex(signed.subarray(from, to))
  return {
    version: hex(0, 2),
    att_key_type: hex(2, 4),
    att_key_data_0: hex(4, 8),
    qe_svn: hex(8, 10),
    pce_svn: hex(10, 12),
    vendor_id: hex(12, 28),
    user_data: hex(28, 48),
  }
}

function bodyClaims(report: Quote['body']): Record<string, string> {
  const body = encodeReportBody(report)
  const hex = (from: number, to: number): string => toHex(body.subarray(from, to))
  return {
    cpu_svn: hex(0, 16),
    misc_select: hex(16, 20),
    reserved1: hex(20, 32),
    isv_ext_prod_id: hex(32, 48),
    'attributes.flags': hex(48, 56),
    'attributes.xfrm': hex(56, 64),
    mr_enclave: hex(64, 96),
    reserved2: hex(96, 128),
    mr_signer: hex(128, 160),
    reserved3: hex(160, 192),
    config_id: hex(192, 256),
    isv_prod_id: hex(256, 258),
    isv_svn: hex(258, 260),
    config_svn: hex(260, 262),
    reserved4: hex(262, 304),
    isv_family_id: hex(304, 320),
    report_data: hex(320, 384),
  }
}

/** CRL numbers have up to 20 octets; those of Intel are 1. */
function crlNumber(hex: string): number {
  return Number.parseInt(hex, 16)
}

function time(at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}
