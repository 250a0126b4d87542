import { FormatError, fromUtf8, utf8 } from '#lib/bytes'
import { array, base64, type JsonObject, object, oneOf, parseJson, string } from '#lib/json'
import { OciError } from '#lib/oci'
import { type IdentityRule, parseNamed } from './identity.ts'
import { SigningError } from './signing-error.ts'
import { parseVerificationKey, type VerificationKey } from './verification-key.ts'

/** One requirement of a policy.json. All of an array must hold. */
export type Requirement =
  | { readonly type: 'insecureAcceptAnything' | 'reject' }
  | {
      readonly type: 'sigstoreSigned'
      /** Any of these may have signed. */
      readonly keys: readonly VerificationKey[]
      /** Keys in files; whoever evaluates must supply their content. */
      readonly keyPaths: readonly string[]
      readonly identity: IdentityRule
    }
  | {
      /** Valid, but nothing here can check it: it fails closed. */
      readonly type: 'signedBy' | 'signedBaseLayer' | 'sigstoreSigned'
      readonly unsupported: string
    }

/** A parsed policy.json. */
export interface ImagePolicy {
  readonly default: readonly Requirement[]
  /** Transport to scope to requirements; only `docker` matters to images that are run. */
  readonly transports: ReadonlyMap<string, ReadonlyMap<string, readonly Requirement[]>>
}

const MAX_POLICY = 1024 * 1024
const MAX_SCOPES = 4096
const MAX_REQUIREMENTS = 64
const MAX_KEYS = 64
const GPG_KEY_TYPES = ['GPGKeys', 'signedByGPGKeys', 'X509Certificates', 'signedByX509CAs'] as const
const GPG_SOURCES = ['keyPath', 'keyPaths', 'keyData']
const SIGSTORE_SOURCES = ['keyPath', 'keyPaths', 'keyData', 'keyDatas', 'fulcio', 'pki']
const REKOR_SOURCES = [
  'rekorPublicKeyPath',
  'rekorPublicKeyPaths',
  'rekorPublicKeyData',
  'rekorPublicKeyDatas',
]

/**
 * Parses policy.json (containers-policy.json(5), docs/formats/signature.md) as strictly as
 * containers/image: an unknown or doubled member, a missing `default`, an empty array of
 * requirements or an unreadable key makes the whole file invalid. A requirement that is valid
 * but cannot be checked here parses and fails at evaluation. Throws `IMAGE_POLICY_INVALID`.
 */
export function parsePolicy(bytes: Uint8Array): ImagePolicy {
  try {
    const json = parseJson(bytes, { maxBytes: MAX_POLICY, name: 'policy.json' })
    const root = object(json, 'policy', ['default', 'transports'])
    const transports = new Map<string, ReadonlyMap<string, readonly Requirement[]>>()
    const found = root.transports === undefined ? {} : object(root.transports, 'transports')
    for (const [transport, scopes] of Object.entries(found)) {
      transports.set(transport, parseScopes(scopes, transport))
    }
    return { default: parseRequirements(root.default, 'default'), transports }
  } catch (cause) {
    const known =
      cause instanceof FormatError || cause instanceof SigningError || cause instanceof OciError
    if (!known || (cause instanceof SigningError && cause.code === 'IMAGE_POLICY_INVALID')) {
      throw cause
    }
    throw invalid(cause.message, cause)
  }
}

function parseScopes(value: unknown, transport: string): Map<string, readonly Requirement[]> {
  const name = transport.length > 64 ? 'transport' : transport
  const entries = Object.entries(object(value, name))
  if (entries.length > MAX_SCOPES) throw invalid(`${name} has over ${MAX_SCOPES} scopes`)
  return new Map(
    entries.map(([scope, requirements]) => {
      // What can never match would be a rule that its writer believes in.
      if (scope.length > 1024) throw invalid(`${name} has a scope of over 1024 characters`)
      if ((transport === 'dir' || transport === 'oci') && scope === '/') {
        throw invalid(`${name} has the scope /`)
      }
      return [scope, parseRequirements(requirements, `${name}["${scope.slice(0, 80)}"]`)]
    }),
  )
}

function parseRequirements(value: unknown, name: string): readonly Requirement[] {
  const list = array(value, name, MAX_REQUIREMENTS)
  if (list.length === 0) throw invalid(`${name} is empty; an empty list would accept everything`)
  return list.map((item, i) => parseRequirement(item, `${name}[${i}]`))
}

function parseRequirement(value: unknown, name: string): Requirement {
  const found = object(value, name)
  const type = oneOf(found.type, `${name}.type`, [
    'insecureAcceptAnything',
    'reject',
    'signedBy',
    'sigstoreSigned',
    'signedBaseLayer',
  ])
  switch (type) {
    case 'insecureAcceptAnything':
    case 'reject':
      object(found, name, ['type'])
      return { type }
    case 'signedBaseLayer':
      object(found, name, ['type', 'baseLayerIdentity'])
      parseIdentity(found.baseLayerIdentity, `${name}.baseLayerIdentity`)
      return { type, unsupported: 'signedBaseLayer' }
    case 'signedBy':
      object(found, name, ['type', 'keyType', ...GPG_SOURCES, 'signedIdentity'])
      oneOf(found.keyType, `${name}.keyType`, GPG_KEY_TYPES)
      checkSource(found, exactlyOne(found, GPG_SOURCES, name), name)
      identityOf(found, name)
      return { type, unsupported: 'signedBy' }
    case 'sigstoreSigned':
      return parseSigstoreSigned(found, name)
  }
}

function parseSigstoreSigned(found: JsonObject, name: string): Requirement {
  const type = 'sigstoreSigned'
  object(found, name, ['type', ...SIGSTORE_SOURCES, ...REKOR_SOURCES, 'signedIdentity'])
  const identity = identityOf(found, name)
  const source = exactlyOne(found, SIGSTORE_SOURCES, name)
  const rekor = REKOR_SOURCES.filter((member) => Object.hasOwn(found, member))
  if (rekor.length > 1) throw invalid(`${name} has more than one of ${REKOR_SOURCES.join(', ')}`)
  if (rekor[0] !== undefined) checkSource(found, rekor[0], name)
  if (source === 'fulcio') {
    checkFulcio(found.fulcio, `${name}.fulcio`)
    if (rekor.length === 0) throw invalid(`${name} has fulcio but no rekorPublicKey`)
    return { type, unsupported: 'sigstoreSigned with fulcio' }
  }
  if (source === 'pki') {
    checkPki(found.pki, `${name}.pki`)
    if (rekor.length > 0) throw invalid(`${name} has pki and a rekorPublicKey`)
    return { type, unsupported: 'sigstoreSigned with pki' }
  }
  const values = checkSource(found, source, name)
  // A demanded log entry that nobody looks at would make the requirement weaker than written.
  if (rekor.length > 0) return { type, unsupported: 'sigstoreSigned with a rekorPublicKey' }
  if (source === 'keyPath' || source === 'keyPaths') {
    return { type, keys: [], keyPaths: values, identity }
  }
  const keys = values.map((text, i) => keyData(text, `${name}.${source}[${i}]`))
  return { type, keys, keyPaths: [], identity }
}

// containers/image writes base64 of the PEM text, CoCo's image-rs the PEM text itself.
function keyData(text: string, name: string): VerificationKey {
  const pem = text.trimStart().startsWith('-----BEGIN ') ? utf8(text) : base64(text, name)
  return parseVerificationKey(pem)
}

function checkSource(found: JsonObject, member: string, name: string): readonly string[] {
  const at = `${name}.${member}`
  const several = member.endsWith('s')
  const values = several
    ? array(found[member], at, MAX_KEYS).map((item, i) => string(item, `${at}[${i}]`))
    : [string(found[member], at)]
  if (values.length === 0) throw invalid(`${at} is empty`)
  for (const value of values) if (value === '') throw invalid(`${at} holds an empty text`)
  return values
}

function checkFulcio(value: unknown, name: string): void {
  const sources = ['caPath', 'caData']
  const found = object(value, name, [...sources, 'oidcIssuer', 'subjectEmail'])
  checkSource(found, exactlyOne(found, sources, name), name)
  for (const member of ['oidcIssuer', 'subjectEmail']) checkSource(found, member, name)
}

function checkPki(value: unknown, name: string): void {
  const roots = ['caRootsPath', 'caRootsData']
  const intermediates = ['caIntermediatesPath', 'caIntermediatesData']
  const subjects = ['subjectHostname', 'subjectEmail']
  const found = object(value, name, [...roots, ...intermediates, ...subjects])
  exactlyOne(found, roots, name)
  const given = (members: string[]) => members.filter((member) => Object.hasOwn(found, member))
  if (given(intermediates).length > 1) throw invalid(`${name} has two kinds of intermediates`)
  if (given(subjects).length === 0) throw invalid(`${name} has no subject`)
  for (const member of Object.keys(found)) string(found[member], `${name}.${member}`)
}

function exactlyOne(found: JsonObject, members: readonly string[], name: string): string {
  const given = members.filter((member) => Object.hasOwn(found, member))
  const [only] = given
  if (only === undefined || given.length > 1) {
    throw invalid(`${name} needs exactly one of ${members.join(', ')}`)
  }
  return only
}

function identityOf(found: JsonObject, name: string): IdentityRule {
  return found.signedIdentity === undefined
    ? { type: 'matchRepoDigestOrExact' }
    : parseIdentity(found.signedIdentity, `${name}.signedIdentity`)
}

function parseIdentity(value: unknown, name: string): IdentityRule {
  const found = object(value, name)
  const type = oneOf(found.type, `${name}.type`, [
    'matchExact',
    'matchRepoDigestOrExact',
    'matchRepository',
    'exactReference',
    'exactRepository',
    'remapIdentity',
  ])
  const text = (member: string): string => string(found[member], `${name}.${member}`, { max: 1024 })
  switch (type) {
    case 'exactReference': {
      object(found, name, ['type', 'dockerReference'])
      const dockerReference = text('dockerReference')
      const { tagged, digested } = parseNamed(dockerReference)
      if (!tagged && !digested) throw invalid(`${name}.dockerReference has no tag or digest`)
      return { type, dockerReference }
    }
    case 'exactRepository': {
      object(found, name, ['type', 'dockerRepository'])
      const dockerRepository = text('dockerRepository')
      parseNamed(dockerRepository)
      return { type, dockerRepository }
    }
    case 'remapIdentity': {
      object(found, name, ['type', 'prefix', 'signedPrefix'])
      const prefix = remapPrefix(text('prefix'), `${name}.prefix`)
      return {
        type,
        prefix,
        signedPrefix: remapPrefix(text('signedPrefix'), `${name}.signedPrefix`),
      }
    }
    default:
      object(found, name, ['type'])
      return { type }
  }
}

function remapPrefix(text: string, name: string): string {
  // A host, or a host and a path; whole components, no tag, no digest, no closing slash.
  if (/^[A-Za-z0-9.-]+(?::[0-9]+)?$/.test(text)) return text
  const named = text.includes('/') ? parseNamed(text) : undefined
  if (named === undefined || named.tagged || named.digested || named.name !== text) {
    throw invalid(`${name} is not a host or host/repository`)
  }
  return text
}

function invalid(found: string, cause?: unknown): SigningError {
  return new SigningError('IMAGE_POLICY_INVALID', `reading policy.json: ${found}`, { cause })
}

/** Parses a PEM key that a policy names by path. Throws as `parseVerificationKey`. */
export function parsePolicyKey(bytes: Uint8Array): VerificationKey {
  return parseVerificationKey(utf8(fromUtf8(bytes, 'key')))
}
