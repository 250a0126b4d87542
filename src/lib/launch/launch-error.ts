import { CodedError } from '#lib/errors'

/** Codes of refused or impossible launches. */
export type LaunchCode =
  | 'LAUNCH_ARGS_REFUSED'
  | 'LAUNCH_ENTRYPOINT_REFUSED'
  | 'LAUNCH_ENV_REFUSED'
  | 'LAUNCH_USER_REFUSED'
  | 'LAUNCH_WORKDIR_REFUSED'
  | 'LAUNCH_MOUNT_REFUSED'
  | 'LAUNCH_TTY_REFUSED'
  | 'LAUNCH_STDIN_REFUSED'
  | 'LAUNCH_SCRATCH_REFUSED'
  | 'LAUNCH_REQUEST_INVALID'
  | 'LAUNCH_NO_COMMAND'
  | 'LAUNCH_USER_UNKNOWN'
  | 'LAUNCH_IMAGE_UNSUITABLE'

/** A launch is refused or cannot be constructed. */
export class LaunchError extends CodedError<LaunchCode> {}
