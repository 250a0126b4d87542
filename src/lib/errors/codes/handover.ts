/** Codes of the handover from agent to container enclave (docs/formats/handover.md). */
export const HANDOVER_CODES = {
  HANDOVER_UNKNOWN: {
    meaning: 'A container enclave asked for a launch that its agent never offered.',
    next: 'run the container again',
  },
  HANDOVER_SPENT: {
    meaning: 'A launch was already handed over; its keys are given out once.',
    next: 'run the container again: a crashed container enclave needs a new launch',
  },
  HANDOVER_EXPIRED: {
    meaning: 'The container enclave came later than 60 seconds after its launch was prepared.',
    next: 'run the container again',
    retryable: true,
  },
  HANDOVER_LOST: {
    meaning: 'The container enclave got its keys but did not confirm it within 30 seconds.',
    next: 'see whether the container runs; if not, run it again',
  },
  HANDOVER_BUSY: {
    meaning: 'Eight handovers of this agent are half open.',
    next: 'wait until they are done or have expired, at most 60 seconds',
    retryable: true,
  },
  HANDOVER_STATE: {
    meaning: 'A handover message came out of order.',
    next: 'run the container again',
  },
  HANDOVER_REFUSED: {
    meaning:
      'Agent and container enclave did not accept each other: another build, another owner, a debug enclave, or messages changed on their way.',
    next: 'check that both enclaves come from one bundle: enclave-cc bundle measure DIR',
  },
} as const
