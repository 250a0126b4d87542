import { CodedError } from '#lib/errors'

/** Codes of the init enclave. */
export type InitCode =
  | 'CONTAINER_COMMAND_NOT_FOUND'
  | 'CONTAINER_COMMAND_NOT_EXECUTABLE'
  | 'CONTAINER_START_FAILED'
  | 'ROOTFS_TAMPERED'
  | 'ROOTFS_MOUNT_FAILED'
  | 'SCRATCH_UNAVAILABLE'
  | 'INIT_STATE'
  | 'INIT_IDENTITY'
  | 'LAUNCH_USER_UNKNOWN'

/** Init cannot do what it was asked. Messages go to the host: no content of the image in them. */
export class InitError extends CodedError<InitCode> {}
