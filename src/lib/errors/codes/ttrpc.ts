/** Codes of calls between host and enclave, and between containerd and the shim. */
export const TTRPC_CODES = {
  TTRPC_STATUS: {
    meaning: 'The called side refused a call with a status of its own.',
    next: 'see the message; the log of the called side has the cause',
  },
  TTRPC_TIMEOUT: {
    meaning: 'A call was not answered within its time limit.',
    next: 'try again; if it repeats, see the log of the called side',
    retryable: true,
  },
  TTRPC_CANCELLED: {
    meaning: 'The caller gave a call up before it was answered.',
    next: 'call again',
    retryable: true,
  },
  TTRPC_CLOSED: {
    meaning: 'The connection closed before the call was answered: the called process has ended.',
    next: 'see its log for the reason',
  },
  TTRPC_PROTOCOL: {
    meaning: 'The called side sent frames that do not follow the ttrpc protocol.',
    next: 'check that both sides are of the same release',
  },
} as const
