/** Codes of init-data documents and resource names. */
export const INIT_DATA_CODES = {
  INIT_DATA_INVALID: {
    meaning: 'An init-data document does not follow its format.',
    next: 'make the document with enclave-cc kbs init-data and hand it over unchanged',
  },
  RESOURCE_URI_INVALID: {
    meaning: 'A resource name is not of the form kbs:///NAMESPACE/TYPE/TAG.',
    next: 'write three segments of letters, digits, dot, dash or underscore after kbs:///',
  },
} as const

/** A code of `INIT_DATA_CODES`. */
export type InitDataCode = keyof typeof INIT_DATA_CODES
