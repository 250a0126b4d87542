import { DerReader, TAG } from '#lib/asn1'

/** ecdsa-with-SHA256 (RFC 5758), the one signature algorithm of the SGX hierarchy. */
export const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/** A signature algorithm; `raw` is compared between the signed and the outer copy. */
export interface SignatureAlgorithm {
  readonly oid: string
  readonly raw: Uint8Array
}

/** Reads an AlgorithmIdentifier; parameters stay in `raw`. */
export function readAlgorithm(reader: DerReader, field: string): SignatureAlgorithm {
  const before = reader.offset
  const { raw, content } = reader.expect(TAG.SEQUENCE, field)
  const inner = new DerReader(content, before + raw.length - content.length)
  const oid = inner.oid(`${field} OID`)
  if (!inner.done) inner.value(`${field} parameters`)
  inner.end(field)
  return { oid, raw }
}
