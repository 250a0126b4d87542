import { type KeyObject, sign } from 'node:crypto'
import { toHex, utf8 } from '#lib/bytes'

/**
 * A collateral document as a PCS serves it: `{"NAME":VALUE,"signature":"128 hex"}`. The signature
 * is r‖s over exactly the bytes of VALUE, which is why VALUE is serialised once.
 */
export function signedDocument(name: string, value: unknown, key: KeyObject): string {
  const text = JSON.stringify(value)
  const signature = sign('sha256', utf8(text), { key, dsaEncoding: 'ieee-p1363' })
  return `{${JSON.stringify(name)}:${text},"signature":"${toHex(signature)}"}`
}

/** Seconds-exact UTC time of collateral documents, `YYYY-MM-DDThh:mm:ssZ`. */
export function documentTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}
