export {
  becomeSubreaper,
  closeInherited,
  enterPrivateMounts,
  forbidDumps,
  keepFromChildren,
} from './harden.ts'
export type { ExitStatus } from './wait.ts'
export { exitStatus, Reaper } from './wait.ts'
