/** The longest time after its end in which anybody may still take collateral, milliseconds: seven days. */
export const MAX_COLLATERAL_GRACE = 604_800_000

/** A grace as it was given; none where it was not. RangeError for one that is not 0 to the longest. */
export function checkedGrace(grace: number = 0): number {
  if (grace >= 0 && grace <= MAX_COLLATERAL_GRACE) return grace
  throw new RangeError(`a grace for collateral of ${grace} ms is not 0 to ${MAX_COLLATERAL_GRACE}`)
}
