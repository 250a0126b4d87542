/** Codes of launch construction, the init enclave and its container. */
export const LAUNCH_CODES = {
  LAUNCH_ARGS_REFUSED: {
    meaning:
      'The host asked for other arguments than the image has, and no rule of the owner permits it.',
    next: 'permit action "set-args" in the launch policy: enclave-cc kbs policy set launch FILE',
  },
  LAUNCH_ENTRYPOINT_REFUSED: {
    meaning: 'The host asked for another entry point, and no rule of the owner permits it.',
    next: 'permit action "set-entrypoint" in the launch policy: enclave-cc kbs policy set launch FILE',
  },
  LAUNCH_ENV_REFUSED: {
    meaning:
      'The host asked for an environment variable that is not permitted, or that no policy can permit.',
    next: 'permit action "set-env" for that name in the launch policy, or set it in the image',
  },
  LAUNCH_USER_REFUSED: {
    meaning: 'The host asked for another user, and no rule of the owner permits it.',
    next: 'permit action "set-user" in the launch policy: enclave-cc kbs policy set launch FILE',
  },
  LAUNCH_WORKDIR_REFUSED: {
    meaning: 'The host asked for another working directory, and no rule of the owner permits it.',
    next: 'permit action "set-workdir" in the launch policy: enclave-cc kbs policy set launch FILE',
  },
  LAUNCH_MOUNT_REFUSED: {
    meaning: 'The host asked to mount something of its own into the container.',
    next: 'put the files into the image; this version mounts nothing of the host',
  },
  LAUNCH_TTY_REFUSED: {
    meaning: 'The host asked for a terminal.',
    next: 'run without -t; this version starts containers without a terminal',
  },
  LAUNCH_STDIN_REFUSED: {
    meaning: 'The host asked to write to the standard input of the container.',
    next: 'run without -i; this version gives containers an empty standard input',
  },
  LAUNCH_REQUEST_INVALID: {
    meaning: 'What the host asks of a launch is malformed.',
    next: 'check the options of the run; the message names the field',
  },
  LAUNCH_NO_COMMAND: {
    meaning: 'Neither the image nor a permitted request names a program to start.',
    next: 'give the image an entry point or a command, or permit "set-args"',
  },
  LAUNCH_USER_UNKNOWN: {
    meaning: 'The user or group of the image is not in its /etc/passwd or /etc/group.',
    next: 'use a numeric user, or add the user to the image',
  },
  LAUNCH_IMAGE_UNSUITABLE: {
    meaning: 'The verified image configuration holds a value that cannot be launched.',
    next: 'correct the image configuration that the message names, and sign the image again',
  },
  CONTAINER_COMMAND_NOT_FOUND: {
    meaning: 'The program to start does not exist in the image.',
    next: 'check entry point, command and PATH of the image',
  },
  CONTAINER_COMMAND_NOT_EXECUTABLE: {
    meaning: 'The program to start exists in the image, but cannot be executed.',
    next: 'check its mode and its architecture',
  },
  CONTAINER_START_FAILED: {
    meaning: 'The OCI runtime could not create or start the container.',
    next: 'run enclave-cc doctor on the node; the message holds the reason of the runtime',
  },
  ROOTFS_TAMPERED: {
    meaning:
      'A part of the sealed root filesystem is not what was sealed; the container was ended.',
    next: 'check the disk and who can write to the node; then run the container again',
  },
  ROOTFS_MOUNT_FAILED: {
    meaning: 'The root filesystem could not be mounted.',
    next: 'run enclave-cc doctor on the node',
  },
  SCRATCH_UNAVAILABLE: {
    meaning: 'The encrypted scratch on the disk of the node could not be prepared.',
    next: 'load the loop module and free disk space, or run with --scratch tmpfs',
  },
  LAUNCH_SCRATCH_REFUSED: {
    meaning:
      'The host asked for a scratch on its disk, which a loop device shows to its root, and no rule of the owner permits it.',
    next: 'run with --scratch tmpfs, or permit action "set-scratch" in the launch policy',
  },
  INIT_STATE: {
    meaning: 'The init enclave was asked for a step out of order.',
    next: 'remove the container and run it again; an init serves one container once',
  },
  INIT_IDENTITY: {
    meaning: 'Manifest or init-data handed to init are not those that it was launched with.',
    next: 'build and install the bundle again; check the init-data of the node',
  },
} as const

/** A code of `LAUNCH_CODES`. */
export type LaunchTableCode = keyof typeof LAUNCH_CODES
