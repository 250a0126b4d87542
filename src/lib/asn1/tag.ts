/** Identifier octets of the DER types in use. Constructed types carry bit 0x20. */
export const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  ENUMERATED: 0x0a,
  UTF8_STRING: 0x0c,
  PRINTABLE_STRING: 0x13,
  IA5_STRING: 0x16,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  SET: 0x31,
} as const

/** Context-specific tag `[number]`, constructed: what EXPLICIT uses. Numbers 0..30. */
export function explicitTag(number: number): number {
  return 0xa0 | number
}

/** Context-specific tag `[number]`, primitive: what IMPLICIT of a simple type uses. */
export function implicitTag(number: number): number {
  return 0x80 | number
}
