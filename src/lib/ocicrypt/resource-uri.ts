import { OcicryptError } from './ocicrypt-error.ts'

/** A resource of the key broker (image-protection.md 3.3). */
export interface ResourceUri {
  /** First segment: the owner's namespace. */
  readonly namespace: string
  readonly type: string
  readonly tag: string
  /** `kbs:///namespace/type/tag`, always without a host. */
  readonly text: string
}

const SEGMENT = /^[A-Za-z0-9._-]{1,255}$/
const MAX_URI = 1024

/**
 * Parses `kbs://[HOST[:PORT]]/namespace/type/tag`. A host is accepted, since other tools write
 * one, and dropped: an image never chooses the broker. The plugin `resource` may be spelled
 * out (`kbs+resource://`); other plugins, queries and percent escapes are refused, so that a
 * segment always means itself. Throws `RESOURCE_URI_INVALID`.
 */
export function parseResourceUri(text: string): ResourceUri {
  if (text.length > MAX_URI) throw invalid(text, `is longer than ${MAX_URI} characters`)
  const match = /^kbs(?:\+([a-z0-9-]+))?:\/\/([^/?#]*)(\/.*)?$/.exec(text)
  if (match === null) throw invalid(text, 'does not start with kbs://')
  const [, plugin = 'resource', host = '', path = ''] = match
  if (plugin !== 'resource') throw invalid(text, `names the plugin ${plugin}`)
  if (!/^[A-Za-z0-9.[\]:_-]*$/.test(host)) throw invalid(text, 'has a malformed host')
  const segments = path.slice(1).split('/')
  for (const segment of segments) {
    if (!SEGMENT.test(segment) || segment === '.' || segment === '..') {
      throw invalid(text, 'has a segment outside A-Z a-z 0-9 . _ -')
    }
  }
  const [namespace, type, tag] = segments
  if (segments.length !== 3 || namespace === undefined || type === undefined || tag === undefined) {
    throw invalid(text, `has ${segments.length} segments, namespace/type/tag are needed`)
  }
  return { namespace, type, tag, text: `kbs:///${namespace}/${type}/${tag}` }
}

function invalid(text: string, found: string): OcicryptError {
  // Shown only if harmless: the text may come from an image, and ends up on terminals.
  const shown = /^[\x21-\x7e]{1,200}$/.test(text) ? text : 'with odd characters'
  return new OcicryptError('RESOURCE_URI_INVALID', `reading the resource URI ${shown}: it ${found}`)
}
