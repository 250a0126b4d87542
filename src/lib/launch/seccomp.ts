import { ALLOWED_CALLS } from './seccomp-calls.ts'

// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: a container makes no namespaces.
const NAMESPACE_FLAGS = 0x7e020000
const AF_VSOCK = 40
const EPERM = 1
const ENOSYS = 38

/**
 * The seccomp filter of every container: a list of what may be called, EPERM for the rest. It leaves
 * out what changes kernel, clock, mounts, namespaces and keyrings, and io_uring. Only calls of the
 * machine's own architecture are served; 32-bit programs are ended by the filter.
 */
export function seccompProfile(architecture: 'x64' | 'arm64'): object {
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: [architecture === 'x64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64'],
    syscalls: [
      { names: ALLOWED_CALLS, action: 'SCMP_ACT_ALLOW' },
      {
        // The flags of clone are its first argument on both architectures.
        names: ['clone'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
      },
      // A filter cannot look into clone3's structure; ENOSYS makes the C library use clone.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
      // vsock would reach the hypervisor's services past every network rule.
      {
        names: ['socket'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: AF_VSOCK, op: 'SCMP_CMP_NE' }],
      },
      // personality: Linux, Linux32, no randomisation off, and the query.
      ...[0, 8, 0x20000, 0x20008, 0xffffffff].map((value) => ({
        names: ['personality'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
      })),
    ],
  }
}
