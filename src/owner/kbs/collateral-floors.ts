/** Numbers of collateral that issuers only ever raise. */
export interface CollateralNumbers {
  readonly tcbInfo: bigint
  readonly qeIdentity: bigint
  readonly pckCrl: bigint
  readonly rootCrl: bigint
}

/** Whose numbers they are: key id of the root, and which of its two PCK authorities. */
export interface CollateralIssuer {
  readonly root: string
  readonly ca: string
}

/**
 * The numbers under the names by which a broker remembers them. Evaluation numbers are not kept by
 * family of platforms: an issuer counts for all of them, and the old TCB info of a family that was
 * not seen before would pass as new.
 */
export function collateralFloors(
  { root, ca }: CollateralIssuer,
  numbers: CollateralNumbers,
): ReadonlyMap<string, bigint> {
  const issuer = root.slice(0, 16)
  return new Map([
    [`tcbInfoNumber:${issuer}`, numbers.tcbInfo],
    [`qeIdentityNumber:${issuer}`, numbers.qeIdentity],
    [`pckCrlNumber:${issuer}:${ca}`, numbers.pckCrl],
    [`rootCrlNumber:${issuer}`, numbers.rootCrl],
  ])
}
