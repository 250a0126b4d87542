export { APPRAISE_DEFAULT } from './defaults/appraise.ts'
export { LAUNCH_DEFAULT } from './defaults/launch.ts'
export { RELEASE_DEFAULT } from './defaults/release.ts'
export type { PolicyDecision } from './evaluate.ts'
export { evaluate, PolicyError, tryPolicy } from './evaluate.ts'
export type {
  AppraiseRequest,
  EnclaveFacts,
  ImageFacts,
  LaunchRequest,
  PolicyRequest,
  ReleaseRequest,
} from './request.ts'
export type { PolicyKind } from './schema.ts'
export { SCHEMA, SCHEMAS } from './schema.ts'
export { suggestPermit } from './suggestion.ts'
export type { PolicyProblem, PolicyValidation } from './validate.ts'
export { MAX_POLICY, validatePolicy } from './validate.ts'
