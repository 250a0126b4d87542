import { formatReference, parseReference, type Reference } from '#lib/oci'

/** How the name inside a signature is compared (policy.json `signedIdentity`). */
export type IdentityRule =
  | { readonly type: 'matchExact' | 'matchRepoDigestOrExact' | 'matchRepository' }
  | { readonly type: 'exactReference'; readonly dockerReference: string }
  | { readonly type: 'exactRepository'; readonly dockerRepository: string }
  | { readonly type: 'remapIdentity'; readonly prefix: string; readonly signedPrefix: string }

/** A name as it stood, with or without tag and digest; `parseReference` fills in `latest`. */
export interface NamedImage {
  /** `host/repository`, normalised. */
  readonly name: string
  /** Full normalised text; equals `name` if there is neither tag nor digest. */
  readonly text: string
  readonly tagged: boolean
  readonly digested: boolean
}

/** Parses a name without adding a tag. Throws OciError. */
export function parseNamed(text: string): NamedImage {
  const reference = parseReference(text)
  const beforeDigest = text.split('@')[0] ?? ''
  const tagged = beforeDigest.includes(':', beforeDigest.lastIndexOf('/') + 1)
  const digested = reference.digest !== undefined
  const name = repositoryName(reference)
  return { name, text: tagged || digested ? formatReference(reference) : name, tagged, digested }
}

/** The image that is to be run. With tag and digest, the digest alone decides. */
export function intendedImage(reference: Reference): NamedImage {
  const name = repositoryName(reference)
  const { tag, digest } = reference
  if (digest !== undefined) {
    return { name, text: `${name}@${digest}`, tagged: false, digested: true }
  }
  return { name, text: `${name}:${tag ?? 'latest'}`, tagged: true, digested: false }
}

/** `host/repository` of a reference, as scopes and identities spell it. */
export function repositoryName(reference: Reference): string {
  return `${reference.host}/${reference.repository}`
}

/** Outcome of comparing names; `expected` is what the signature should have said. */
export interface IdentityMatch {
  readonly ok: boolean
  readonly expected: string
}

/**
 * Compares the name inside a signature with the image asked for (docs/formats/signature.md).
 * Names are normalised first. `matchRepoDigestOrExact` makes one concession: cosign signs
 * names without tag and digest; such a name is compared by repository. It still names the
 * repository, so a signature for another one never passes.
 */
export function matchIdentity(
  rule: IdentityRule,
  intended: NamedImage,
  dockerReference: string,
): IdentityMatch {
  let signed: NamedImage | undefined
  try {
    signed = parseNamed(dockerReference)
  } catch {
    signed = undefined
  }
  switch (rule.type) {
    case 'matchExact':
      return { ok: hasVersion(signed) && signed.text === intended.text, expected: intended.text }
    case 'matchRepository':
      return { ok: signed?.name === intended.name, expected: intended.name }
    case 'matchRepoDigestOrExact':
      return repoDigestOrExact(intended, signed)
    case 'exactReference': {
      const { text } = parseNamed(rule.dockerReference)
      return { ok: signed?.text === text, expected: text }
    }
    case 'exactRepository': {
      const { name } = parseNamed(rule.dockerRepository)
      return { ok: signed?.name === name, expected: name }
    }
    case 'remapIdentity':
      return repoDigestOrExact(remapped(intended, rule), signed)
  }
}

function repoDigestOrExact(intended: NamedImage, signed: NamedImage | undefined): IdentityMatch {
  if (!hasVersion(signed) || intended.digested) {
    return { ok: signed?.name === intended.name, expected: intended.name }
  }
  return { ok: signed.text === intended.text, expected: intended.text }
}

function remapped(
  intended: NamedImage,
  { prefix, signedPrefix }: { readonly prefix: string; readonly signedPrefix: string },
): NamedImage {
  const inside = intended.name === prefix || intended.name.startsWith(`${prefix}/`)
  if (!inside) return intended
  const name = signedPrefix + intended.name.slice(prefix.length)
  return { ...intended, name, text: name + intended.text.slice(intended.name.length) }
}

function hasVersion(image: NamedImage | undefined): image is NamedImage {
  return image !== undefined && (image.tagged || image.digested)
}
