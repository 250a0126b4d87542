import { KBS_PREFIX, MAX_BODY } from '#protocol/kbs'
import { administrator } from './admin-auth.ts'
import { adminRoute, upstreamResourceRoute } from './admin-routes.ts'
import type { Broker } from './broker.ts'
import { KbsError } from './kbs-error.ts'
import { toProblem } from './problem.ts'
import { attest, auth, getResource, reportDecision } from './rcar-routes.ts'
import type { BrokerReply, BrokerRequest } from './request.ts'

// Evidence and what administrators set may be large; nothing else that is sent here is.
const SMALL_BODY = 65_536

/**
 * Answers one request; every failure becomes the reply that says so. `body` is called once, and
 * only when the sender may send one; `begin` when it is there and the work starts.
 */
export async function route(
  broker: Broker,
  head: Omit<BrokerRequest, 'body'>,
  body: (limit: number) => Promise<Uint8Array>,
  begin: () => Disposable,
): Promise<BrokerReply> {
  const [word = ''] = head.path
  const admin = word === 'admin' || (word === 'resource' && head.method !== 'GET')
  try {
    // Strangers are turned away before they can make anybody hold 2 MiB for them.
    if (admin) await administrator(broker, head, false)
    const large = admin || word === 'attest' || word === 'enclave-cc'
    const request = { ...head, body: await body(large ? MAX_BODY : SMALL_BODY) }
    using _ = begin()
    const reply = await dispatch(broker, request)
    broker.count(`requests_total{route="${label(word)}",status="${reply.status}"}`)
    return reply
  } catch (error) {
    // What administrators sent is theirs to see; a wrong admin token still learns nothing more.
    const { status, body } = toProblem(error, admin)
    broker.count(`requests_total{route="${label(word)}",status="${status}"}`)
    const why = error instanceof Error ? error.message : String(error)
    const level = status >= 500 ? 'error' : 'info'
    const { code, correlationId } = body
    broker.parts.log(level, {
      event: 'refused',
      route: label(word),
      status,
      code,
      correlationId,
      why,
    })
    return { status, type: 'application/json', body: JSON.stringify(body) }
  }
}

/** `GET /metrics`: counts only; names of resources are nobody's business here. */
export function metrics(broker: Broker): string {
  const lines = [...broker.counters].map(([name, value]) => `kbs_${name} ${value}`).sort()
  return `${lines.join('\n')}\nkbs_sessions ${broker.sessions.size}\n`
}

/** The path below the protocol's prefix as segments. Throws KBS_ROUTE_UNKNOWN. */
export function splitPath(pathname: string): string[] {
  if (!pathname.startsWith(`${KBS_PREFIX}/`)) throw unknownRoute('')
  try {
    return pathname
      .slice(KBS_PREFIX.length + 1)
      .split('/')
      .map(decodeURIComponent)
  } catch {
    throw unknownRoute('')
  }
}

async function dispatch(broker: Broker, request: BrokerRequest): Promise<BrokerReply> {
  const [word = '', second] = request.path
  const { method } = request
  if (word === 'admin') return adminRoute(broker, request)
  if (word === 'auth' && method === 'POST') return auth(broker, request)
  if (word === 'attest' && method === 'POST') return attest(broker, request)
  if (word === 'resource' && method === 'GET') return getResource(broker, request)
  if (word === 'resource' && (method === 'POST' || method === 'DELETE')) {
    return upstreamResourceRoute(broker, request)
  }
  if (word === 'enclave-cc' && second === 'decisions' && method === 'POST') {
    return reportDecision(broker, request)
  }
  throw unknownRoute(word)
}

function unknownRoute(word: string): KbsError {
  const shown = /^[\w-]{1,32}$/.test(word) ? word : ''
  return new KbsError('KBS_ROUTE_UNKNOWN', `Plugin ${shown} not found`)
}

function label(word: string): string {
  return ['auth', 'attest', 'resource', 'admin', 'enclave-cc'].includes(word) ? word : 'other'
}
