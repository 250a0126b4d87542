import type { LayerPlace } from './layer-transform.ts'
import { ProtectError } from './protect-error.ts'

/** Decides which layers of an image are meant. Throws `USAGE` for a number outside the image. */
export type LayerSelection = (place: LayerPlace) => boolean

/**
 * Reads the values of `--encrypt-layer`: positions from 0, or from -1 backwards. None given means
 * every layer. Throws `USAGE`.
 */
export function parseLayerSelection(values: readonly string[]): LayerSelection {
  const positions = values.map((value) => {
    if (!/^-?[0-9]{1,4}$/.test(value)) {
      throw new ProtectError('USAGE', `reading --encrypt-layer ${value}: not a whole number`)
    }
    return Number(value)
  })
  return ({ index, count }) => {
    const outside = positions.find((at) => at >= count || at < -count)
    if (outside !== undefined) {
      const range = `it has layers 0 to ${count - 1}`
      throw new ProtectError('USAGE', `selecting layer ${outside} of the image: ${range}`)
    }
    return positions.length === 0 || positions.some((at) => (at < 0 ? at + count : at) === index)
  }
}
