/** Codes of the node side: launcher, supervisor and its commands. */
export const NODE_CODES = {
  PACKAGE_MISSING: {
    meaning: 'A program or library that enclave-cc is started with is not installed.',
    next: 'install what the message names; sh scripts/bootstrap.sh does it in a checkout',
  },
  ROOT_REQUIRED: {
    meaning: 'The command needs root: it mounts and starts containers.',
    next: 'run it as root, for example with sudo',
  },
  STATE_UNSAFE: {
    meaning:
      'The state directory of the node, or a folder in it, belongs to another user, or others may write to it: they could answer in place of its supervisors.',
    next: 'name another directory with --state, or look who put what there, also inside its folders, remove what is not yours, then chown it to root and chmod 700 it',
  },
  FUSE_MISSING: {
    meaning: 'The machine has no /dev/fuse, through which root filesystems are served.',
    next: 'modprobe fuse, or hand the device into the container or VM; then see: enclave-cc doctor',
  },
  CGROUPS_MISSING: {
    meaning: 'The machine has no cgroups that the OCI runtime could limit a container with.',
    next: 'mount the cgroup filesystem on /sys/fs/cgroup, writable for root; then see: enclave-cc doctor',
  },
  EROFS_MISSING: {
    meaning: 'The kernel has no EROFS, or does not let this process mount it.',
    next: 'modprobe erofs, or leave the unprivileged container; then see: enclave-cc doctor',
  },
  LOOP_MISSING: {
    meaning: 'An EROFS image needs a loop device here, and none can be had.',
    next: 'modprobe loop and give this environment /dev/loop-control; none is needed from Linux 6.12 on with --root on a disk filesystem; then see: enclave-cc doctor',
  },
  ENCLAVE_START_FAILED: {
    meaning: 'An enclave process could not be started, or ended before it was ready.',
    next: 'see: enclave-cc doctor, and the log named in the message',
  },
  ENCLAVE_LOST: {
    meaning: 'An enclave process ended although it was needed; the container was stopped.',
    next: 'see: enclave-cc inspect ID, and start the container again',
    retryable: true,
  },
  SUPERVISOR_LOST: {
    meaning: "The container's supervisor ended without a word; the container ended with it.",
    next: 'remove the container with: enclave-cc rm ID, and start it again',
    retryable: true,
  },
  CONTAINER_NOT_FOUND: {
    meaning: 'No container has this name, id or id prefix.',
    next: 'see: enclave-cc ps -a',
  },
  CONTAINER_AMBIGUOUS: {
    meaning: 'More than one container id begins so.',
    next: 'give more digits of the id; see: enclave-cc ps -a --no-trunc',
  },
  CONTAINER_NAME_TAKEN: {
    meaning: 'Another container has this name already.',
    next: 'choose another --name, or remove the other with: enclave-cc rm NAME',
  },
  CONTAINER_RUNNING: {
    meaning: 'The container is running, and the command needs one that is not.',
    next: 'stop it first, or use: enclave-cc rm -f',
  },
  CONTAINER_NOT_RUNNING: {
    meaning: 'The container is not running, and the command needs one that is.',
    next: 'see: enclave-cc ps -a',
  },
  CONTAINER_RECORD_DAMAGED: {
    meaning: "A container's record on this node cannot be read.",
    next: 'remove the container with: enclave-cc rm -f ID',
  },
  INIT_DATA_MISSING: {
    meaning: 'No init-data document says which broker this enclave belongs to.',
    next: 'make one with: enclave-cc kbs init-data --namespace NS, and pass it with --init-data FILE',
  },
  FEATURE_NOT_BUILT: {
    meaning: 'The command line asks for something that this version does not do yet.',
    next: 'leave the flag out; see docs/cli.md for what works',
  },
} as const

/** A code of `NODE_CODES`. */
export type NodeCode = keyof typeof NODE_CODES
