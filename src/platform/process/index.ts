export { killChildren, livingChildren } from './children.ts'
export {
  becomeSubreaper,
  closeInherited,
  enterPrivateMounts,
  forbidDumps,
  keepFromChildren,
} from './harden.ts'
export { inMounts, mountNamespace, returnToMounts } from './mount-namespace.ts'
export { becomeOwnRoot } from './own-root.ts'
export type { ExitStatus } from './wait.ts'
export { exitStatus, Reaper } from './wait.ts'
