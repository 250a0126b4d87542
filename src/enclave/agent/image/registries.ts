import { parse } from 'smol-toml'
import { fromUtf8 } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { array, boolean, object, optional, string, strings } from '#lib/json'
import { isHost, isLoopbackHost, isRepository, type Reference } from '#lib/oci'
import { AgentError } from '../agent-error.ts'

/** How to reach one registry. */
export interface Endpoint {
  /** Where to ask: the reference's own name, or that of a mirror. */
  readonly host: string
  readonly repository: string
  /** HTTP without TLS; such a connection never carries credentials. */
  readonly plainHttp: boolean
  /** PEM certificates, exclusive; undefined means those measured into the enclave. */
  readonly ca: readonly string[] | undefined
  /** Hosts of token servers beside the registry itself. */
  readonly tokenHosts: readonly string[]
  /** Places that the registry sends us to (redirects, token servers) may have private addresses. */
  readonly privateAddresses: boolean
}

/** The owner's registry configuration: the only source of CAs, mirrors and `insecure` (own-protocols 10). */
export interface Registries {
  /** Places to ask for an image, in order. Throws REGISTRY_BLOCKED. */
  endpoints(reference: Reference): readonly Endpoint[]
}

interface Place {
  /** `host[:port][/path]`. */
  readonly location: string
  readonly insecure: boolean
  readonly ca: readonly string[] | undefined
  readonly tokenHosts: readonly string[]
  readonly privateAddresses: boolean
}

interface Registry extends Place {
  readonly prefix: string
  readonly blocked: boolean
  readonly mirrors: readonly Place[]
}

const MAX_DOCUMENT = 1024 * 1024
const PLACE = ['location', 'insecure', 'ca', 'token-hosts', 'private-addresses']
const REGISTRY = [...PLACE, 'prefix', 'blocked', 'mirror']
/** Of containers-registries.conf(5), these mean nothing to an image that is named in full. */
const IGNORED = ['unqualified-search-registries', 'short-name-mode']
const DOCKER_TOKEN_HOST = 'auth.docker.io'

/** What holds where the owner has set none: TLS with the measured CAs, plain HTTP to loopback. */
export const NO_REGISTRIES: Registries = { endpoints: (reference) => [endpoint(reference, [])[0]] }

/**
 * Parses the subset of registries.conf (TOML, version 2) that docs/agent.md lists; unknown members
 * are refused, since a restriction that is not understood would silently not hold. Throws REGISTRIES_INVALID.
 */
export function parseRegistries(document: Uint8Array): Registries {
  let registries: readonly Registry[]
  try {
    if (document.length > MAX_DOCUMENT) throw invalid('it has more than 1 MiB')
    const toml = parse(fromUtf8(document, 'registries'), { maxDepth: 8 })
    const top = object(toml, 'registries', ['registry', ...IGNORED])
    registries = array(top.registry ?? [], 'registry', 256).map(parseRegistry)
  } catch (cause) {
    if (cause instanceof AgentError) throw cause
    const found = isCoded(cause) ? cause.message : 'it is not TOML'
    throw invalid(found, cause)
  }
  return { endpoints: (reference) => resolve(reference, registries) }
}

function parseRegistry(value: unknown, index: number): Registry {
  const name = `registry[${index}]`
  const found = object(value, name, REGISTRY)
  const place = parsePlace(found, name, found.prefix)
  return {
    ...place,
    prefix: optional(found.prefix, (v) => location(v, `${name}.prefix`)) ?? place.location,
    blocked: optional(found.blocked, (v) => boolean(v, `${name}.blocked`)) ?? false,
    mirrors: array(found.mirror ?? [], `${name}.mirror`, 16).map((mirror, i) =>
      parsePlace(object(mirror, `${name}.mirror[${i}]`, PLACE), `${name}.mirror[${i}]`),
    ),
  }
}

function parsePlace(
  found: Readonly<Record<string, unknown>>,
  name: string,
  otherwise?: unknown,
): Place {
  return {
    location: location(found.location ?? otherwise, `${name}.location`),
    insecure: optional(found.insecure, (v) => boolean(v, `${name}.insecure`)) ?? false,
    privateAddresses:
      optional(found['private-addresses'], (v) => boolean(v, `${name}.private-addresses`)) ?? false,
    ca: optional(found.ca, (v) =>
      strings(v, `${name}.ca`, { maxItems: 64, max: 65_536, pattern: /^\s*-----BEGIN CERT/ }),
    ),
    tokenHosts:
      optional(found['token-hosts'], (v) =>
        strings(v, `${name}.token-hosts`, { maxItems: 16, max: 255 }).map((host) => {
          if (!isHost(host)) throw invalid(`${name}.token-hosts: not a host`)
          return host
        }),
      ) ?? [],
  }
}

function location(value: unknown, name: string): string {
  const text = string(value, name, { max: 255 })
  const [host = '', ...path] = text.split('/')
  if (!isHost(host) || (path.length > 0 && !isRepository(path.join('/')))) {
    throw invalid(`${name} is not host[:port][/path]`)
  }
  return text
}

function resolve(reference: Reference, registries: readonly Registry[]): readonly Endpoint[] {
  const name = `${reference.host}/${reference.repository}`
  const matching = registries
    .filter(({ prefix }) => name === prefix || name.startsWith(`${prefix}/`))
    .sort((a, b) => b.prefix.length - a.prefix.length)
  const [registry] = matching
  if (registry === undefined) return NO_REGISTRIES.endpoints(reference)
  if (registry.blocked) {
    throw new AgentError('REGISTRY_BLOCKED', `reading ${name}: its registry is blocked`)
  }
  const rest = name.slice(registry.prefix.length)
  return [...registry.mirrors, registry].flatMap((place) => {
    const [host = '', ...path] = `${place.location}${rest}`.split('/')
    const repository = path.join('/')
    // A mirror of a whole host under a path of its own can leave nothing to ask for.
    if (!isRepository(repository)) return []
    const [plain] = endpoint({ host, repository }, place.tokenHosts)
    const { ca, insecure, privateAddresses } = place
    return [{ ...plain, plainHttp: plain.plainHttp || insecure, ca, privateAddresses }]
  })
}

function endpoint(
  { host, repository }: Pick<Reference, 'host' | 'repository'>,
  tokenHosts: readonly string[],
): [Endpoint] {
  const known = host === 'docker.io' ? [DOCKER_TOKEN_HOST] : []
  const plainHttp = isLoopbackHost(host)
  return [
    {
      host,
      repository,
      plainHttp,
      ca: undefined,
      tokenHosts: [...known, ...tokenHosts],
      privateAddresses: false,
    },
  ]
}

function invalid(found: string, cause?: unknown): AgentError {
  return new AgentError('REGISTRIES_INVALID', `reading the registry configuration: ${found}`, {
    cause,
  })
}
