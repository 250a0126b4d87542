import { formatResourceUri } from '#lib/initdata'
import type { LaunchRequest } from './request.ts'

/**
 * The narrowest Cedar text that would allow what was refused, for the `next` step of a launch
 * refusal. It names the image's repository, so that pasting it does not open other images.
 */
export function suggestPermit(request: LaunchRequest): string {
  const when = conditions(request)
  const id = `allow-${request.action}`
  const clause = when.length === 0 ? '' : ` when { ${when.join(' && ')} }`
  return `@id("${id}") permit (principal, action == Action::"${request.action}", resource)${clause};`
}

function conditions(request: LaunchRequest): string[] {
  if (request.action === 'reveal') return [`resource == ${resource(request.resource)}`]
  const image = [`principal.repository == ${quote(request.image.repository)}`]
  switch (request.action) {
    case 'run':
      return [`principal.digest == ${quote(request.image.digest)}`, ...image]
    case 'use-key':
      return [...image, `resource == ${resource(request.resource)}`]
    case 'set-args':
    case 'set-entrypoint':
    case 'exec':
      return [...image, `context.line == ${quote(JSON.stringify(request.args))}`]
    case 'set-env':
      return [...image, `context.name == ${quote(request.name)}`]
    case 'set-user':
      return [...image, `context.user == ${quote(request.user)}`]
    case 'set-workdir':
      return [...image, `context.path == ${quote(request.path)}`]
    case 'set-scratch':
      return [...image, `context.kind == ${quote(request.kind)}`]
    case 'mount':
      return [...image, `context.destination == ${quote(request.destination)}`]
    default:
      return image
  }
}

function resource(name: Parameters<typeof formatResourceUri>[0]): string {
  return `Resource::${quote(formatResourceUri(name))}`
}

// Cedar strings: escape quote and backslash, write every other unprintable character by number.
function quote(text: string): string {
  const escaped = text.replace(/["\\]|[^\x20-\x7e]/gu, (c) =>
    c === '"' || c === '\\' ? `\\${c}` : `\\u{${c.codePointAt(0)?.toString(16)}}`,
  )
  return `"${escaped}"`
}
