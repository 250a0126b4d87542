export type { AttestResult, PreparedLayer, PrepareResult, ProgressEvent } from './documents.ts'
export type {
  AttestRequest,
  BeginRequest,
  ConfigureRequest,
  EventsRequest,
  HandoverMessage,
  JsonDocument,
  KillRequest,
  PrepareReply,
  PrepareRequest,
  PrepareScratchRequest,
  StartReply,
  WaitReply,
} from './messages.ts'
export type {
  AgentClient,
  AgentHandlers,
  AgentMethods,
  InitClient,
  InitHandlers,
  InitMethods,
} from './services.ts'
export { agentClient, agentService, initClient, initService } from './services.ts'
export { ERROR_DETAIL, fromStatus, RemoteError, toStatus } from './status.ts'
