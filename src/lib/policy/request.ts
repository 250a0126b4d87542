import type { EntityJson, EntityUid } from '@cedar-policy/cedar-wasm/nodejs'
import { formatResourceUri, type ResourceName } from '#lib/initdata'

/** An attested program as policies see it. */
export interface EnclaveFacts {
  /** Lower-case hexadecimal, as are all measurements. */
  readonly mrEnclave: string
  readonly mrSigner: string
  readonly isvProdId: number
  readonly isvSvn: number
  readonly debug: boolean
  /** `agent`, or `''` where no reference value matched. */
  readonly program: string
  /** Name of the reference value that matched, or `''`. */
  readonly reference: string
}

/** Question of the appraise policy. */
export interface AppraiseRequest {
  readonly action: 'appraise'
  readonly enclave: EnclaveFacts
  readonly platform: string
  readonly tcbStatus: string
  readonly advisoryIds: readonly string[]
  readonly tcbEvaluationDataNumber: number
  readonly initData: {
    readonly present: boolean
    readonly thisBroker: boolean
    readonly namespace: string
  }
}

/** Question of the release policy. */
export interface ReleaseRequest {
  readonly action: 'read'
  readonly enclave: EnclaveFacts
  readonly resource: ResourceName
  readonly platform: string
  readonly tcbStatus: string
  readonly status: string
  readonly namespace: string
}

/** An image, by digest, after its signatures were checked. */
export interface ImageFacts {
  readonly registry: string
  readonly repository: string
  /** `''` unless a good signature names the tag: a tag is else a mere word of the host. */
  readonly tag: string
  /** `sha256:…` of the manifest. */
  readonly digest: string
  /** Ids of the keys whose signature requirement it passed. */
  readonly signers: readonly string[]
  /** At least one signature requirement passed. */
  readonly signed: boolean
  /** At least one layer is encrypted. */
  readonly encrypted: boolean
  /** No layer is readable without a key. */
  readonly fullyEncrypted: boolean
}

/** Question of the launch policy about an image; one a request of the host. */
export type LaunchRequest =
  | (ImageQuestion & { readonly action: 'run' | 'set-tty' | 'set-stdin' | 'attach' })
  | (ImageQuestion & {
      readonly action: 'use-key'
      readonly resource: ResourceName
      readonly namespace: string
    })
  | (ImageQuestion & {
      readonly action: 'set-args' | 'set-entrypoint'
      readonly args: readonly string[]
    })
  | (ImageQuestion & { readonly action: 'set-env'; readonly name: string; readonly value: string })
  | (ImageQuestion & { readonly action: 'set-user'; readonly user: string })
  | (ImageQuestion & { readonly action: 'set-workdir'; readonly path: string })
  | (ImageQuestion & {
      readonly action: 'set-scratch'
      readonly kind: string
      readonly size: number
    })
  | (ImageQuestion & {
      readonly action: 'mount'
      readonly source: string
      readonly destination: string
      readonly readOnly: boolean
    })
  | (ImageQuestion & {
      readonly action: 'exec'
      readonly args: readonly string[]
      readonly user: string
      readonly tty: boolean
    })
  | {
      readonly action: 'reveal'
      readonly resource: ResourceName
      readonly namespace: string
      readonly platform: string
    }

interface ImageQuestion {
  readonly image: ImageFacts
  readonly platform: string
  readonly containerId: string
}

/** Any question that a policy answers. */
export type PolicyRequest = AppraiseRequest | ReleaseRequest | LaunchRequest

/** A request as Cedar takes it. */
export interface CedarRequest {
  readonly principal: EntityUid
  readonly action: EntityUid
  readonly resource: EntityUid
  readonly context: Record<string, CedarValue>
  readonly entities: EntityJson[]
}

type CedarValue = boolean | number | string | CedarValue[] | { [member: string]: CedarValue }

/** Turns a typed question into Cedar's principal, action, resource, context and entities. */
export function toCedar(request: PolicyRequest): CedarRequest {
  const principal = principalOf(request)
  const resource = resourceOf(request)
  return {
    principal: principal.uid,
    action: { type: 'Action', id: request.action },
    resource: resource.uid,
    context: contextOf(request),
    entities: [principal, resource],
  }
}

function principalOf(request: PolicyRequest): EntityJson {
  if ('enclave' in request) {
    const e = request.enclave
    return entity('Enclave', e.mrEnclave, {
      mrEnclave: e.mrEnclave,
      mrSigner: e.mrSigner,
      isvProdId: e.isvProdId,
      isvSvn: e.isvSvn,
      debug: e.debug,
      program: e.program,
      reference: e.reference,
    })
  }
  if (request.action === 'reveal') return entity('Host', 'host', {})
  const i = request.image
  return entity('Image', `${i.registry}/${i.repository}@${i.digest}`, {
    registry: i.registry,
    repository: i.repository,
    tag: i.tag,
    digest: i.digest,
    signers: [...i.signers],
    signed: i.signed,
    encrypted: i.encrypted,
    fullyEncrypted: i.fullyEncrypted,
  })
}

function resourceOf(request: PolicyRequest): EntityJson {
  switch (request.action) {
    case 'appraise':
      return entity('Broker', 'broker', {})
    case 'read':
    case 'use-key':
    case 'reveal': {
      const { namespace, type, tag } = request.resource
      return entity('Resource', formatResourceUri(request.resource), { namespace, type, tag })
    }
    default:
      return entity('Container', request.containerId, {})
  }
}

function contextOf(request: PolicyRequest): Record<string, CedarValue> {
  const { platform } = request
  switch (request.action) {
    case 'appraise': {
      const { present, thisBroker, namespace } = request.initData
      return {
        platform,
        tcbStatus: request.tcbStatus,
        advisoryIds: [...request.advisoryIds],
        tcbEvaluationDataNumber: request.tcbEvaluationDataNumber,
        initData: { present, thisBroker, namespace },
      }
    }
    case 'read': {
      const { tcbStatus, status, namespace } = request
      return { platform, tcbStatus, status, namespace }
    }
    case 'use-key':
    case 'reveal':
      return { platform, namespace: request.namespace }
    case 'set-args':
    case 'set-entrypoint':
      return { platform, args: [...request.args], line: JSON.stringify(request.args) }
    case 'set-env':
      return { platform, name: request.name, value: request.value }
    case 'set-user':
      return { platform, user: request.user }
    case 'set-workdir':
      return { platform, path: request.path }
    case 'set-scratch':
      return { platform, kind: request.kind, size: request.size }
    case 'mount': {
      const { source, destination, readOnly } = request
      return { platform, source, destination, readOnly }
    }
    case 'exec': {
      const { args, user, tty } = request
      return { platform, args: [...args], line: JSON.stringify(args), user, tty }
    }
    default:
      return { platform }
  }
}

function entity(type: string, id: string, attrs: Record<string, CedarValue>): EntityJson {
  return { uid: { type, id }, attrs, parents: [] }
}
