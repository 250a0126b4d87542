export { cgroupDirectories, cgroupProcesses, removeCgroup } from './cgroup.ts'
