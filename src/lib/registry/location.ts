import { RegistryError } from './registry-error.ts'

/** Longest chain of redirects that is followed. */
export const MAX_REDIRECTS = 10
const MAX_URL = 16_384

/**
 * Resolves a `Location` or `Link` against the URL that answered with it. Only http and https,
 * no user name inside, and never from https to http: what was asked for under TLS must not
 * arrive in the clear. Throws `REGISTRY_REDIRECT_REFUSED`. Messages name the host only:
 * the query of such a URL is often a signature.
 */
export function resolveLocation(base: URL, location: string | undefined): URL {
  if (location === undefined || location === '' || location.length > MAX_URL) {
    throw refused(base, 'a redirect without a usable Location')
  }
  const target = URL.parse(location, base)
  if (target === null) throw refused(base, 'a Location that is no URL')
  if (target.protocol !== 'https:' && target.protocol !== 'http:') {
    throw refused(base, `a Location with scheme ${target.protocol.slice(0, 32)}`)
  }
  if (base.protocol === 'https:' && target.protocol === 'http:') {
    throw refused(base, `a Location that leads from https to http on ${target.host}`)
  }
  if (target.username !== '' || target.password !== '') {
    throw refused(base, 'a Location with a user name')
  }
  target.hash = ''
  return target
}

/** The target of `rel="next"` in `Link` headers; undefined if there is none. */
export function nextLink(values: readonly string[]): string | undefined {
  for (const value of values) {
    for (const [, target, parameters = ''] of value.matchAll(/<([^>]*)>((?:\s*;[^,<]*)*)/g)) {
      if (/;\s*rel\s*=\s*"?next"?\s*(?:;|$)/i.test(parameters)) return target
    }
  }
  return undefined
}

function refused(base: URL, found: string): RegistryError {
  return new RegistryError(
    'REGISTRY_REDIRECT_REFUSED',
    `following an answer of ${base.host}: found ${found}`,
  )
}
