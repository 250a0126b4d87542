export type { HandoverCode } from './handover-error.ts'
export { HandoverError } from './handover-error.ts'
export type { HandoverResult, Initiator, InitiatorOptions } from './initiator.ts'
export { createInitiator } from './initiator.ts'
export { LAUNCH_ID_LENGTH } from './message.ts'
export type { HandoverLayer, HandoverPayload } from './payload.ts'
export { wipePayload } from './payload.ts'
export type { AgentPin, HandoverTee, InitPin } from './peer.ts'
export type {
  EndedLaunch,
  LaunchOffer,
  LaunchState,
  Responder,
  ResponderOptions,
} from './responder.ts'
export { createResponder } from './responder.ts'
