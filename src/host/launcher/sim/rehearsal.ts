import { boolean, object, oneOf, optional } from '#lib/json'
import type { TcbSetting } from './pki/tcb-info.ts'

/** `expired` is all of it, of which a verifier sees the lists first. */
const COLLATERAL_SETTINGS = [
  'current',
  'expired',
  'crl-expired',
  'tcb-info-expired',
  'qe-identity-expired',
] as const

/** A value of `COLLATERAL_SETTINGS`. */
export type CollateralSetting = (typeof COLLATERAL_SETTINGS)[number]

const TCB_SETTINGS: readonly TcbSetting[] = ['up-to-date', 'out-of-date', 'revoked']
const REVOCATIONS = ['valid', 'revoked'] as const
type Revocation = (typeof REVOCATIONS)[number]

/** What the platform pretends, so that refusals can be rehearsed. */
export interface Rehearsal {
  /** TCB status of the platform: verdict TCB_POLICY for out-of-date, TCB_REVOKED for revoked. */
  readonly tcb: TcbSetting
  /** The same of its quoting enclave, by the QE identity: out-of-date makes the whole OutOfDate. */
  readonly qe: TcbSetting
  /** Whether the PCK certificate is on its CRL: verdict PCK_REVOKED. */
  readonly pck: Revocation
  /** Whether the PCK CA is on the root's CRL: verdict INTERMEDIATE_REVOKED. */
  readonly pckCa: Revocation
  /** Whether the TCB signer is on the root's CRL: verdict TCB_SIGNER_REVOKED. */
  readonly tcbSigner: Revocation
  /** What of the collateral is issued with a period that is over: verdicts CRL_EXPIRED, TCB_INFO_EXPIRED… */
  readonly collateral: CollateralSetting
  /** Whether enclaves started from now on have the DEBUG attribute: verdict DEBUG_NOT_ALLOWED. */
  readonly debug: boolean
}

/** A platform that pretends nothing. */
export const NORMAL: Rehearsal = {
  tcb: 'up-to-date',
  qe: 'up-to-date',
  pck: 'valid',
  pckCa: 'valid',
  tcbSigner: 'valid',
  collateral: 'current',
  debug: false,
}

/** Every setting of `platform set`, and what it changes. */
const SETTINGS: Readonly<Record<string, Partial<Rehearsal>>> = {
  normal: NORMAL,
  ...named('tcb', TCB_SETTINGS, (tcb) => ({ tcb })),
  ...named('qe', TCB_SETTINGS, (qe) => ({ qe })),
  ...named('pck', REVOCATIONS, (pck) => ({ pck })),
  ...named('pck-ca', REVOCATIONS, (pckCa) => ({ pckCa })),
  ...named('tcb-signer', REVOCATIONS, (tcbSigner) => ({ tcbSigner })),
  revoked: { pck: 'revoked' },
  ...named('collateral', COLLATERAL_SETTINGS, (collateral) => ({ collateral })),
  'debug=on': { debug: true },
  'debug=off': { debug: false },
  debug: { debug: true },
  'tcb=debug': { debug: true },
}

function named<T extends string>(
  name: string,
  values: readonly T[],
  change: (value: T) => Partial<Rehearsal>,
): Record<string, Partial<Rehearsal>> {
  return Object.fromEntries(values.map((value) => [`${name}=${value}`, change(value)]))
}

/** Names of all settings, for messages and help. */
export const SETTING_NAMES: readonly string[] = Object.keys(SETTINGS)

/** What a setting such as `tcb=out-of-date` changes; undefined for one that does not exist. */
export function parseSetting(setting: string): Partial<Rehearsal> | undefined {
  return Object.hasOwn(SETTINGS, setting) ? SETTINGS[setting] : undefined
}

/** Reads the form that the platform directory keeps. FormatError for anything else. */
export function parseRehearsal(value: unknown): Rehearsal {
  const members = object(value, 'rehearsal', Object.keys(NORMAL))
  // Absent from what versions wrote that could not rehearse it.
  const choice = <T extends string>(name: keyof Rehearsal, values: readonly T[], absent: T): T =>
    optional(members[name], (found) => oneOf(found, name, values)) ?? absent
  return {
    tcb: oneOf(members.tcb, 'tcb', TCB_SETTINGS),
    qe: choice('qe', TCB_SETTINGS, 'up-to-date'),
    pck: oneOf(members.pck, 'pck', REVOCATIONS),
    pckCa: choice('pckCa', REVOCATIONS, 'valid'),
    tcbSigner: choice('tcbSigner', REVOCATIONS, 'valid'),
    collateral: oneOf(members.collateral, 'collateral', COLLATERAL_SETTINGS),
    debug: boolean(members.debug, 'debug'),
  }
}
