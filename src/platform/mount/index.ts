export { linuxMounts } from './linux-mounts.ts'
export type { MountRequest, Mounts } from './mounts.ts'
export { MOUNT_FLAGS } from './mounts.ts'
