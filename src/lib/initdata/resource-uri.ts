import { InitDataError } from './init-data-error.ts'

/** One resource of the broker: `kbs:///NAMESPACE/TYPE/TAG`. The namespace is its owner. */
export interface ResourceName {
  /** First segment, called repository on the wire. */
  readonly namespace: string
  readonly type: string
  readonly tag: string
}

// CoCo's resource URI: no leading dot, nothing empty, no slash. The length keeps names printable.
const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$/

/** True for one segment of a resource name. */
export function isSegment(text: string): boolean {
  return SEGMENT.test(text)
}

/**
 * Parses `kbs:///namespace/type/tag` or `kbs+resource:///…`. A host between the slashes is
 * accepted, as other tools write one, and dropped: where the broker is comes from init-data
 * only, never from a name that an image or the host supplies. Throws RESOURCE_URI_INVALID.
 */
export function parseResourceUri(text: string): ResourceName {
  const [, path] = /^kbs(?:\+resource)?:\/\/[^/?#\s]{0,255}\/(.*)$/.exec(text) ?? []
  // One leading empty segment is what CoCo's ResourceUri::new makes.
  const segments = (path ?? '').replace(/^\//, '').split('/')
  return resourceName(segments)
}

/** The resource named by exactly three segments. Throws RESOURCE_URI_INVALID. */
export function resourceName(segments: readonly string[]): ResourceName {
  const [namespace = '', type = '', tag = ''] = segments
  if (segments.length !== 3 || !segments.every(isSegment)) {
    throw new InitDataError('RESOURCE_URI_INVALID', 'reading a resource name: not three segments')
  }
  return { namespace, type, tag }
}

/** The one form in which we write a resource name. */
export function formatResourceUri(name: ResourceName): string {
  return `kbs:///${name.namespace}/${name.type}/${name.tag}`
}
