import { checkDigest, quote } from './digest.ts'
import { OciError } from './oci-error.ts'

/**
 * A name of an image in a registry. `host` is the logical name (`docker.io`, perhaps with
 * a port), not the API host. A reference without tag and digest was given tag `latest`.
 */
export interface Reference {
  readonly host: string
  /** Path within the registry, without the host: `library/alpine`. */
  readonly repository: string
  readonly tag?: string
  /** If present, it alone decides; the tag is then only for display. */
  readonly digest?: string
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const DOMAIN =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/
const IPV6 = /^\[[0-9A-Fa-f:.]+\]$/
const PORT = /^[0-9]{1,5}$/
const BARE_ID = /^[0-9a-f]{64}$/
const MAX_NAME = 255
const MAX_TEXT = 1024

/**
 * Parses `[HOST/]REPOSITORY[:TAG][@DIGEST]` as docker and skopeo do. A first component is
 * a host if it has a `.` or `:` or is `localhost`; `index.docker.io` is `docker.io`.
 * Throws `IMAGE_REFERENCE_INVALID` or `IMAGE_DIGEST_INVALID`.
 */
export function parseReference(text: string): Reference {
  if (text.length > MAX_TEXT) throw invalid(text, `is longer than ${MAX_TEXT} characters`)
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : checkDigest(text.slice(at + 1), `reference ${quote(text)}`)
  let name = at < 0 ? text : text.slice(0, at)
  // A colon after the last slash starts a tag; any colon before is the port of the host.
  const colon = name.indexOf(':', name.lastIndexOf('/') + 1)
  let tag: string | undefined
  if (colon >= 0) {
    tag = name.slice(colon + 1)
    name = name.slice(0, colon)
    if (!TAG.test(tag)) throw invalid(text, `has a bad tag ${quote(tag)}`)
  }
  const { host, repository } = splitHost(name, text)
  if (`${host}/${repository}`.length > MAX_NAME) {
    throw invalid(text, `has a name longer than ${MAX_NAME} characters`)
  }
  for (const component of repository.split('/')) {
    if (!COMPONENT.test(component)) {
      const upper = /[A-Z]/.test(component) ? '; a repository is written in lower case' : ''
      throw invalid(text, `has a bad component ${quote(component)}${upper}`)
    }
  }
  if (BARE_ID.test(name)) throw invalid(text, 'is an image id, not a name')
  return makeReference(
    host,
    repository,
    tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
  )
}

/** The full text of a reference: `HOST/REPOSITORY[:TAG][@DIGEST]`. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${reference.host}/${reference.repository}${tag}${digest}`
}

/** The same repository under a digest, without tag. */
export function withDigest(reference: Reference, digest: string): Reference {
  return makeReference(
    reference.host,
    reference.repository,
    undefined,
    checkDigest(digest, 'digest'),
  )
}

/** The same repository under a tag, without digest. Throws `IMAGE_REFERENCE_INVALID`. */
export function withTag(reference: Reference, tag: string): Reference {
  if (!TAG.test(tag)) throw invalid(tag, 'is not a tag')
  return makeReference(reference.host, reference.repository, tag, undefined)
}

/** What stands in the URL after `/manifests/`: the digest, else the tag. */
export function manifestName(reference: Reference): string {
  return reference.digest ?? reference.tag ?? 'latest'
}

/** The host to which requests go: `registry-1.docker.io` for `docker.io`, else the host. */
export function apiHost(host: string): string {
  return host === 'docker.io' ? 'registry-1.docker.io' : host
}

/** True for `localhost`, 127.0.0.0/8 and `[::1]`, with or without port. */
export function isLoopbackHost(host: string): boolean {
  const name = host.startsWith('[') ? host.slice(0, host.indexOf(']') + 1) : host.split(':')[0]
  return (
    name === 'localhost' || name === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name ?? '')
  )
}

/** True for a repository path that follows the grammar. */
export function isRepository(text: string): boolean {
  return text.length <= MAX_NAME && text.split('/').every((part) => COMPONENT.test(part))
}

/** True for a tag that follows the grammar. */
export function isTag(text: string): boolean {
  return TAG.test(text)
}

/** True for `NAME[:PORT]` or `[IPV6][:PORT]`. */
export function isHost(text: string): boolean {
  const bracket = text.startsWith('[') ? text.indexOf(']') + 1 : 0
  const colon = text.indexOf(':', bracket)
  const name = colon < 0 ? text : text.slice(0, colon)
  const port = colon < 0 ? undefined : text.slice(colon + 1)
  if (port !== undefined && (!PORT.test(port) || Number(port) > 65535)) return false
  return bracket > 0 ? IPV6.test(name) : DOMAIN.test(name)
}

function splitHost(name: string, text: string): { host: string; repository: string } {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  if (!(first.includes('.') || first.includes(':') || first === 'localhost')) {
    return { host: 'docker.io', repository: slash < 0 ? `library/${name}` : name }
  }
  if (!isHost(first)) throw invalid(text, `has a bad host ${quote(first)}`)
  const rest = name.slice(slash + 1)
  if (first !== 'docker.io' && first !== 'index.docker.io') return { host: first, repository: rest }
  return { host: 'docker.io', repository: rest.includes('/') ? rest : `library/${rest}` }
}

function makeReference(
  host: string,
  repository: string,
  tag: string | undefined,
  digest: string | undefined,
): Reference {
  return {
    host,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  }
}

function invalid(text: string, found: string): OciError {
  return new OciError('IMAGE_REFERENCE_INVALID', `reading image name ${quote(text)}: it ${found}`)
}
