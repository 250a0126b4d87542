/** Codes of the TEE device (fd 3) and of the simulated platform behind it. */
export const TEE_DEVICE_CODES = {
  TEE_DEVICE_CLOSED: {
    meaning: 'The TEE device of the enclave was closed by the node.',
    next: 'start the enclave again; if it repeats, see the log of its supervisor',
    retryable: true,
  },
  TEE_DEVICE_PROTOCOL: {
    meaning: 'The two ends of the TEE device do not speak the same protocol.',
    next: 'use one release of enclave-cc for the node and for the bundle',
  },
  TEE_REQUEST_MALFORMED: {
    meaning: 'A request to the TEE device has a wrong size or a reserved field that is not zero.',
    next: 'use one release of enclave-cc for the node and for the bundle',
  },
  TEE_OPERATION_UNKNOWN: {
    meaning: 'The TEE device does not know the requested operation.',
    next: 'use one release of enclave-cc for the node and for the bundle',
  },
  TEE_KEY_REFUSED: {
    meaning: 'The platform does not give this enclave the requested key.',
    next: 'keys of a newer version are never given; run at least the version that sealed the data',
  },
  TEE_REPORT_REFUSED: {
    meaning: 'The quoting enclave was given a report that this platform did not make for it.',
    next: 'make the report for the target info of this platform’s quoting enclave',
  },
  TEE_DEVICE_FAILED: {
    meaning: 'The TEE device could not answer.',
    next: 'see the log of the supervisor on the node',
    retryable: true,
  },
  PLATFORM_PERMISSIONS: {
    meaning: 'The directory of the simulated platform is open to other users.',
    next: 'chown it to the user that runs enclave-cc, chmod 700 it and 600 its files; replace the platform if others may have read it',
  },
  PLATFORM_DAMAGED: {
    meaning:
      'The directory of the simulated platform lacks a file or holds one that cannot be read.',
    next: 'restore it, or remove the directory to get a new platform and add its new root to the broker',
  },
  PLATFORM_REHEARSAL_NEEDED: {
    meaning: 'Changing the simulated platform makes attestation fail on purpose.',
    next: 'add --rehearsal if that is wanted',
  },
} as const
