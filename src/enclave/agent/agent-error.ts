import { CodedError } from '#lib/errors'

/** Codes of the agent enclave; see `docs/errors.md`. */
export type AgentCode =
  | 'AGENT_STATE'
  | 'AGENT_IDENTITY'
  | 'AGENT_REQUEST_INVALID'
  | 'IMAGE_POLICY_MISSING'
  | 'IMAGE_REJECTED'
  | 'LAUNCH_REFUSED'
  | 'RESOURCE_REVEAL_REFUSED'
  | 'KEY_NAMESPACE_REFUSED'
  | 'KEY_USE_REFUSED'
  | 'KEY_UNSIGNED_REFUSED'
  | 'REGISTRIES_INVALID'
  | 'REGISTRY_BLOCKED'

/** The agent refuses, or was asked wrongly. */
export class AgentError extends CodedError<AgentCode> {}
