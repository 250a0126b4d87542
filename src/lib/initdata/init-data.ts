import { createHash } from 'node:crypto'
import { fromBase64 } from '#lib/bytes'
import { object, optional, string, strings } from '#lib/json'
import { asInitDataError, parseEnvelope, parseToml } from './envelope.ts'
import { InitDataError } from './init-data-error.ts'
import {
  formatResourceUri,
  isSegment,
  parseResourceUri,
  type ResourceName,
} from './resource-uri.ts'

/** The member of `[data]` that is ours. */
export const INIT_DATA_MEMBER = 'enclave-cc.toml'

/** What binds an enclave to its owner: own-protocols.md 1, docs/formats/init-data.md. */
export interface InitData {
  readonly broker: {
    /** `https://host[:port]`, nothing after it. */
    readonly url: string
    /** `sha256/<base64 of SHA-256 of the SubjectPublicKeyInfo>`, one to eight; exclusive. */
    readonly pins: readonly string[]
    /** First segment of every resource that this enclave may ask for. */
    readonly namespace: string
  }
  readonly resources: {
    readonly imagePolicy: ResourceName
    readonly launchPolicy: ResourceName
    readonly credentials: ResourceName
    readonly registries: ResourceName
  }
}

const MEMBERS = {
  imagePolicy: ['image-policy', 'security-policy'],
  launchPolicy: ['launch-policy', 'launch-policy'],
  credentials: ['credentials', 'credential'],
  registries: ['registries', 'registry-configuration'],
} as const

/**
 * Parses a whole init-data document as an enclave does: our member and no other, sha256, every
 * unknown name refused, every resource inside the namespace. An enclave that ignored what it
 * does not know would run under a restriction that its owner believes to be in force.
 * Throws INIT_DATA_INVALID.
 */
export function parseInitData(document: Uint8Array | string): InitData {
  const envelope = parseEnvelope(document)
  const inner = envelope.data[INIT_DATA_MEMBER]
  if (envelope.algorithm !== 'sha256' || inner === undefined) {
    const found = `needs algorithm sha256 and a member "${INIT_DATA_MEMBER}"`
    throw new InitDataError('INIT_DATA_INVALID', `reading init-data: ${found}`)
  }
  if (Object.keys(envelope.data).length !== 1) {
    throw new InitDataError('INIT_DATA_INVALID', 'reading init-data: has members of others')
  }
  return parseInitDataMember(inner)
}

/** Parses the text of our member alone, as a broker does beside other parties' members. */
export function parseInitDataMember(text: string): InitData {
  return asInitDataError(() => {
    const toml = object(parseToml(text), INIT_DATA_MEMBER, ['broker', 'resources'])
    const broker = object(toml.broker, 'broker', ['url', 'pins', 'namespace'])
    const namespace = string(broker.namespace, 'broker.namespace', { max: 128 })
    if (!isSegment(namespace)) throw invalid('broker.namespace is not one segment')
    const given = object(
      toml.resources ?? {},
      'resources',
      Object.values(MEMBERS).map(([m]) => m),
    )
    const resource = (key: keyof typeof MEMBERS): ResourceName => {
      const [member, type] = MEMBERS[key]
      const name =
        optional(given[member], (v) => parseResourceUri(string(v, `resources.${member}`))) ??
        ({ namespace, type, tag: 'default' } satisfies ResourceName)
      // A resource of another owner would be judged by that owner's rules.
      if (name.namespace !== namespace) throw invalid(`resources.${member} leaves the namespace`)
      return name
    }
    return {
      broker: { url: brokerUrl(broker.url), pins: brokerPins(broker.pins), namespace },
      resources: {
        imagePolicy: resource('imagePolicy'),
        launchPolicy: resource('launchPolicy'),
        credentials: resource('credentials'),
        registries: resource('registries'),
      },
    }
  })
}

/** What `serializeInitData` is made from; resources that are left out get their defaults. */
export interface InitDataInput {
  readonly broker: InitData['broker']
  readonly resources?: Partial<InitData['resources']>
}

/** Writes a document that `parseInitData` reads back. Throws INIT_DATA_INVALID on bad values. */
export function serializeInitData(input: InitDataInput): string {
  const { url, pins, namespace } = input.broker
  const inner = [
    '[broker]',
    `url = ${JSON.stringify(url)}`,
    `pins = [${pins.map((pin) => JSON.stringify(pin)).join(', ')}]`,
    `namespace = ${JSON.stringify(namespace)}`,
  ]
  const resources = Object.entries(input.resources ?? {}) as [keyof typeof MEMBERS, ResourceName][]
  if (resources.length > 0) inner.push('[resources]')
  for (const [key, name] of resources) {
    inner.push(`${MEMBERS[key][0]} = ${JSON.stringify(formatResourceUri(name))}`)
  }
  const text = [
    'version = "0.1.0"',
    'algorithm = "sha256"',
    '',
    '[data]',
    `"${INIT_DATA_MEMBER}" = '''`,
    ...inner,
    "'''",
    '',
  ].join('\n')
  // Reading it back is the check of every value, in the one place that decides what is valid.
  parseInitData(text)
  return text
}

/** SHA-256 of the exact bytes: the CONFIGID of agent and init (zero-padded there to 64 bytes). */
export function initDataDigest(document: Uint8Array | string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(document).digest())
}

function brokerUrl(value: unknown): string {
  const text = string(value, 'broker.url', { max: 512 })
  const url = URL.parse(text)
  // No user, path or query: what follows the origin is the protocol's, not the document's.
  if (url?.protocol !== 'https:' || (url.origin !== text && `${url.origin}/` !== text)) {
    throw invalid('broker.url is not https://host[:port]')
  }
  return url.origin
}

function brokerPins(value: unknown): string[] {
  const pins = strings(value, 'broker.pins', { maxItems: 8, max: 64 })
  if (pins.length === 0) throw invalid('broker.pins is empty')
  for (const pin of pins) {
    if (!pin.startsWith('sha256/')) throw invalid('broker.pins: a pin starts with sha256/')
    fromBase64(pin.slice('sha256/'.length), 'broker.pins', 32)
  }
  return pins
}

function invalid(found: string): InitDataError {
  return new InitDataError('INIT_DATA_INVALID', `reading init-data: ${found}`)
}
