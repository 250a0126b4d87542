import { KBS_PREFIX } from '#protocol/kbs'
import { adminRoute, upstreamResourceRoute } from './admin-routes.ts'
import type { Broker } from './broker.ts'
import { KbsError } from './kbs-error.ts'
import { toProblem } from './problem.ts'
import { attest, auth, getResource, reportDecision } from './rcar-routes.ts'
import type { BrokerReply, BrokerRequest } from './request.ts'

/** Answers one request; every failure becomes the reply that says so. */
export async function route(broker: Broker, request: BrokerRequest): Promise<BrokerReply> {
  const [word = ''] = request.path
  try {
    const reply = await dispatch(broker, request)
    broker.count(`requests_total{route="${label(word)}",status="${reply.status}"}`)
    return reply
  } catch (error) {
    // What administrators sent is theirs to see; a wrong admin token still learns nothing more.
    const admin = word === 'admin' || (word === 'resource' && request.method !== 'GET')
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
