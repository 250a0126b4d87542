/** Codes that belong to no single component. */
export const GENERAL_CODES = {
  FORMAT_TRUNCATED: {
    meaning: 'Bytes ended before a field that the format requires.',
    next: 'fetch the input again; if it repeats, it was damaged at its source',
  },
  FORMAT_TRAILING: {
    meaning: 'Bytes follow the end of a structure that must end there.',
    next: 'fetch the input again; if it repeats, it was damaged or edited',
  },
  FORMAT_LIMIT: {
    meaning: 'A length, count or depth is above the limit of the format.',
    next: 'check where the input comes from; the limit is in the format page',
  },
  FORMAT_INVALID: {
    meaning: 'A field holds a value that the format does not allow.',
    next: 'fetch the input again; if it repeats, it was damaged or edited',
  },
  USAGE: {
    meaning: 'The command line is not understood.',
    next: 'see --help of the command',
  },
  INPUT_UNREADABLE: {
    meaning: 'A file that the command needs cannot be read.',
    next: 'check the path and its permissions',
  },
  OUTPUT_EXISTS: {
    meaning: 'A file that would be written exists already.',
    next: 'choose another name, or pass --force',
  },
  INTERRUPTED: {
    meaning: 'The command was interrupted and has cleaned up.',
    next: 'run it again',
    retryable: true,
  },
  INTERNAL: {
    meaning: 'A defect of enclave-cc.',
    next: 'report it with the command and the output of --log-level debug',
  },
  DISK_FULL: {
    meaning: 'No space is left where the command writes.',
    next: 'free space, or move --root to a larger filesystem',
    retryable: true,
  },
} as const

/** A code of `GENERAL_CODES`. */
export type GeneralCode = keyof typeof GENERAL_CODES
