/**
 * JCS (RFC 8785): members sorted by UTF-16 code units at every level, no white space, numbers
 * and strings as ECMAScript writes them. What is hashed or signed as JSON goes through here.
 *
 * Throws TypeError for what JSON cannot hold (undefined, functions, bigint, NaN, half a
 * surrogate pair, class instances): silently leaving a member out would sign another document.
 */
export function canonicalize(value: unknown): string {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw new TypeError('canonicalize: half a surrogate pair')
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('canonicalize: number is not finite')
      return JSON.stringify(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (Array.isArray(value)) return `[${value.map(canonicalize).join(',')}]`
      return canonicalObject(value)
    default:
      throw new TypeError(`canonicalize: ${typeof value} is not JSON`)
  }
}

function canonicalObject(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError('canonicalize: a class instance is not JSON')
  }
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${members.map(([k, v]) => `${canonicalize(k)}:${canonicalize(v)}`).join(',')}}`
}
