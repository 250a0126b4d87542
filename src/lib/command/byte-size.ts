const SIZE = /^([0-9]{1,15})([KMGT]?)$/i
const UNITS = ['', 'K', 'M', 'G', 'T']

/** Bytes of a size as `500M` or `2G` (powers of 1024); undefined for a text that is none, or above 2^53. */
export function parseByteSize(text: string): number | undefined {
  const [, digits, unit = ''] = SIZE.exec(text) ?? []
  if (digits === undefined) return undefined
  const size = Number(digits) * 1024 ** UNITS.indexOf(unit.toUpperCase())
  return Number.isSafeInteger(size) ? size : undefined
}

/** A size for people: `1.5 GiB`, `12 KiB`, `193 B`. */
export function formatByteSize(bytes: number): string {
  const power = Math.min(4, bytes < 1024 ? 0 : Math.floor(Math.log2(bytes) / 10))
  if (power === 0) return `${bytes} B`
  const value = bytes / 1024 ** power
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[power]}iB`
}
