export type { Evidence, EvidenceForm, Self } from './form.ts'
export type { HandoverCode } from './handover-error.ts'
export { HandoverError } from './handover-error.ts'
export type { HandoverResult, Initiator, InitiatorOptions } from './initiator.ts'
export { createInitiator } from './initiator.ts'
export { LAUNCH_ID_LENGTH } from './message.ts'
export type { HandoverLayer, HandoverPayload } from './payload.ts'
export { wipePayload } from './payload.ts'
export type { AgentPin, InitPin } from './peer.ts'
export type { QuoteFormOptions } from './quote-form.ts'
export { quoteForm } from './quote-form.ts'
export type { HandoverTee } from './report-form.ts'
export { reportForm } from './report-form.ts'
export type {
  EndedLaunch,
  LaunchOffer,
  LaunchState,
  Responder,
  ResponderOptions,
} from './responder.ts'
export { createResponder } from './responder.ts'
