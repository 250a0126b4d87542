import type { Reference } from '#lib/oci'
import { intendedImage } from './identity.ts'
import type { ImagePolicy, Requirement } from './policy.ts'

/** The requirements that apply to an image, and the key of the policy that named them. */
export interface ScopeMatch {
  /** The scope as written; `docker` for the scope "" of that transport, `default` for the rest. */
  readonly scope: string
  readonly requirements: readonly Requirement[]
}

/**
 * Finds the requirements for an image: full name, repository, its parents, host with port,
 * wildcards of the host without port, "", then `default` (docs/formats/signature.md). The first
 * that is there wins; nothing is merged.
 */
export function matchScope(policy: ImagePolicy, reference: Reference): ScopeMatch {
  const docker = policy.transports.get('docker')
  for (const scope of docker === undefined ? [] : scopesOf(reference)) {
    const requirements = docker?.get(scope)
    if (requirements !== undefined) return { scope: scope === '' ? 'docker' : scope, requirements }
  }
  return { scope: 'default', requirements: policy.default }
}

/** Scopes that can name an image, most specific first. */
export function scopesOf(reference: Reference): string[] {
  const { name, text } = intendedImage(reference)
  const scopes = [text]
  for (let at = name.length; at > 0; at = name.lastIndexOf('/', at - 1)) {
    scopes.push(name.slice(0, at))
  }
  // `*.b.c` stands for any host below b.c, not for b.c itself; the port does not matter to it.
  const host = reference.host.startsWith('[') ? '' : (reference.host.split(':')[0] ?? '')
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    scopes.push(`*${host.slice(dot)}`)
  }
  scopes.push('')
  return scopes
}
