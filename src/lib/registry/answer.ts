import { type HttpResponse, header, readBody } from '#lib/http'
import { array, object, parseJson } from '#lib/json'
import { type RegistryCode, RegistryError } from './registry-error.ts'

const MAX_ERROR_BODY = 1024 * 1024
const STATUS_CODES: ReadonlyMap<number, RegistryCode> = new Map([
  [401, 'REGISTRY_UNAUTHORIZED'],
  [403, 'REGISTRY_DENIED'],
  [404, 'REGISTRY_NOT_FOUND'],
  [429, 'REGISTRY_RATE_LIMITED'],
])

/**
 * The error for an answer that is not what was asked for. `attempt` says what was tried. The
 * registry's own words are quoted, cut short and free of control characters: they are for
 * people, nothing here decides by them.
 */
export async function refusal(response: HttpResponse, attempt: string): Promise<RegistryError> {
  const { status } = response
  const code =
    STATUS_CODES.get(status) ??
    (status >= 500 || status === 408 ? 'REGISTRY_UNAVAILABLE' : 'REGISTRY_REFUSED')
  const words = await registryWords(response)
  const suffix = words === undefined ? '' : ` (${words})`
  return new RegistryError(code, `${attempt}: the registry answers ${status}${suffix}`, {
    details: { status },
  })
}

/** The error for an answer of the right status that breaks the protocol. */
export function invalidAnswer(attempt: string, found: string): RegistryError {
  return new RegistryError('REGISTRY_RESPONSE_INVALID', `${attempt}: ${found}`)
}

/** A header that must be there. */
export function requiredHeader(response: HttpResponse, name: string, attempt: string): string {
  const value = header(response, name)
  if (value === undefined) throw invalidAnswer(attempt, `the answer has no ${name}`)
  return value
}

async function registryWords(response: HttpResponse): Promise<string | undefined> {
  try {
    const body = await readBody(response, MAX_ERROR_BODY)
    if (body === undefined || body.length === 0) return undefined
    const errors = array(object(parseJson(body), 'answer').errors, 'errors')
    const { code, message } = object(errors[0], 'error')
    const words = [code, message].filter((word) => typeof word === 'string' && word !== '')
    return words.length === 0 ? undefined : printable(words.join(': '))
  } catch {
    return undefined
  }
}

function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]+/g, ' ').trim()
  return clean.length > 200 ? `${clean.slice(0, 200)}…` : clean
}
