export type { GrantedRequests, LaunchedContainer } from './construct.ts'
export { constructLaunch, NOTHING_GRANTED } from './construct.ts'
export type { HostRequest, MountRequest } from './host-request.ts'
export { parseHostRequest } from './host-request.ts'
export type { LaunchConfig } from './launch-config.ts'
export {
  encodeLaunchConfig,
  MAX_LAUNCH_BYTES,
  MAX_LAYERS,
  parseLaunchConfig,
} from './launch-config.ts'
export type { LaunchCode } from './launch-error.ts'
export { LaunchError } from './launch-error.ts'
export { renderHosts, renderResolvConf } from './network-files.ts'
export { isNeverGrantableEnv, isNeverGrantableMount } from './never-grantable.ts'
export type { Resources } from './resources.ts'
export type { ResolvedUser, RuntimeMachine, RuntimePaths, VolumePlace } from './runtime-spec.ts'
export { runtimeSpec } from './runtime-spec.ts'
export type { ScratchKind, ScratchPolicy } from './scratch-policy.ts'
export { DEFAULT_SCRATCH, parseScratchPolicy } from './scratch-policy.ts'
export { signalNumber } from './signals.ts'
