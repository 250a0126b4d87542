import { DerReader, TAG } from '#lib/asn1'
import { FormatError } from '#lib/bytes'

const COMMON_NAME = '2.5.4.3'

/** A distinguished name. Names are equal if their bytes are; nothing is normalised. */
export interface Name {
  /** The complete DER encoding. */
  readonly raw: Uint8Array
  /** The one common name; undefined if there is none or it is no UTF8String or PrintableString. */
  readonly commonName: string | undefined
}

/** Reads a Name (RFC 5280 4.1.2.4). Two common names are refused: which one counts is unclear. */
export function readName(reader: DerReader, field: string): Name {
  const at = reader.offset
  const value = reader.expect(TAG.SEQUENCE, field)
  const sets = new DerReader(value.content, reader.offset - value.content.length)
  let commonName: string | undefined
  let seen = false
  while (!sets.done) {
    const set = sets.set(field)
    do {
      const attribute = set.sequence(`${field} attribute`)
      const type = attribute.oid(`${field} attribute type`)
      if (type !== COMMON_NAME) {
        attribute.value(`${field} attribute value`)
      } else if (seen) {
        throw new FormatError('FORMAT_INVALID', field, at, 'has two common names')
      } else {
        seen = true
        commonName = attribute.text(`${field} common name`)
      }
      attribute.end(`${field} attribute`)
    } while (!set.done)
  }
  return { raw: value.raw, commonName }
}
