import { CodedError, type NetworkCode } from '#lib/errors'

/** Codes of answers that a registry gave, or should not have given. */
export type RegistryCode = Extract<NetworkCode, `REGISTRY_${string}`>

/** A registry refused, or broke the protocol. */
export class RegistryError extends CodedError<RegistryCode> {}
