import { boolean, object, oneOf } from '#lib/json'
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

/** What the platform pretends, so that refusals can be rehearsed. */
export interface Rehearsal {
  /** TCB status of the platform: verdict TCB_POLICY for out-of-date, TCB_REVOKED for revoked. */
  readonly tcb: TcbSetting
  /** Whether the PCK certificate is on its CRL: verdict PCK_REVOKED. */
  readonly pck: 'valid' | 'revoked'
  /** What of the collateral is issued with a period that is over: verdicts CRL_EXPIRED, TCB_INFO_EXPIRED… */
  readonly collateral: CollateralSetting
  /** Whether enclaves started from now on have the DEBUG attribute: verdict DEBUG_NOT_ALLOWED. */
  readonly debug: boolean
}

/** A platform that pretends nothing. */
export const NORMAL: Rehearsal = {
  tcb: 'up-to-date',
  pck: 'valid',
  collateral: 'current',
  debug: false,
}

/** Every setting of `platform set`, and what it changes. */
const SETTINGS: Readonly<Record<string, Partial<Rehearsal>>> = {
  normal: NORMAL,
  'tcb=up-to-date': { tcb: 'up-to-date' },
  'tcb=out-of-date': { tcb: 'out-of-date' },
  'tcb=revoked': { tcb: 'revoked' },
  'pck=valid': { pck: 'valid' },
  'pck=revoked': { pck: 'revoked' },
  revoked: { pck: 'revoked' },
  ...Object.fromEntries(
    COLLATERAL_SETTINGS.map((collateral) => [`collateral=${collateral}`, { collateral }]),
  ),
  'debug=on': { debug: true },
  'debug=off': { debug: false },
  debug: { debug: true },
  'tcb=debug': { debug: true },
}

/** Names of all settings, for messages and help. */
export const SETTING_NAMES: readonly string[] = Object.keys(SETTINGS)

/** What a setting such as `tcb=out-of-date` changes; undefined for one that does not exist. */
export function parseSetting(setting: string): Partial<Rehearsal> | undefined {
  return Object.hasOwn(SETTINGS, setting) ? SETTINGS[setting] : undefined
}

/** Reads the form that the platform directory keeps. FormatError for anything else. */
export function parseRehearsal(value: unknown): Rehearsal {
  const members = object(value, 'rehearsal', ['tcb', 'pck', 'collateral', 'debug'])
  return {
    tcb: oneOf(members.tcb, 'tcb', ['up-to-date', 'out-of-date', 'revoked']),
    pck: oneOf(members.pck, 'pck', ['valid', 'revoked']),
    collateral: oneOf(members.collateral, 'collateral', COLLATERAL_SETTINGS),
    debug: boolean(members.debug, 'debug'),
  }
}
