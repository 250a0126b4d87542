import { CodedError, isCoded } from '#lib/errors'
import { SystemError } from '#platform/ffi'

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

/** `ROOTFS_MOUNT_FAILED` with what the system said; an error that has a code of ours is that already. */
export function mountFailed(error: unknown): CodedError {
  if (isCoded(error)) return error
  const { code = '' } = error as { code?: string }
  const found = error instanceof SystemError ? error.message : code || 'it failed'
  return new InitError('ROOTFS_MOUNT_FAILED', `mounting the root filesystem: ${found}`, {
    cause: error,
    details: { errno: code },
  })
}
