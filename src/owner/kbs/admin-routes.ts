import { fromUtf8, toBase64, toHex } from '#lib/bytes'
import { formatResourceUri, type ResourceName, resourceName } from '#lib/initdata'
import { integer, type JsonObject, object, oneOf, optional, string } from '#lib/json'
import {
  PolicyError,
  type PolicyKind,
  type PolicyRequest,
  tryPolicy,
  validatePolicy,
} from '#lib/policy'
import {
  ADMIN_ROLES,
  type Administrator,
  administrator,
  adminTokenDocument,
  adminTokenId,
} from './admin-auth.ts'
import type { Broker } from './broker.ts'
import { newAdminToken } from './data-dir.ts'
import { KbsError } from './kbs-error.ts'
import { parseReference, referenceDocument } from './reference.ts'
import { type BrokerReply, type BrokerRequest, jsonBody, jsonReply } from './request.ts'
import { readRoot, requireOneKind, rootDocument } from './root.ts'
import type { ResourceInfo } from './store/store.ts'

const KINDS: readonly PolicyKind[] = ['appraise', 'release', 'launch']
const AUDIT_PAGE = 1000

/** One resource as `kbs resource *` prints it. */
export interface ResourceDocument {
  readonly uri: string
  readonly version: number
  readonly size: number
  readonly type: string
  readonly updatedAt: string
}

interface Call {
  readonly broker: Broker
  readonly request: BrokerRequest
  readonly by: Administrator
  /** Segments after the route's own. */
  readonly rest: readonly string[]
}

type Handler = (call: Call) => Promise<BrokerReply>

interface Route {
  /** Only the role `admin` may: it changes something, or gives out a secret. */
  readonly write: boolean
  readonly handle: Handler
}

const ROUTES: Readonly<Record<string, Route>> = {
  'GET status': { write: false, handle: status },
  'GET resources': { write: false, handle: listResources },
  'GET resource': { write: true, handle: readResource },
  'PUT resource': { write: true, handle: putResource },
  'DELETE resource': { write: true, handle: deleteResource },
  'GET history': { write: false, handle: history },
  'POST rollback': { write: true, handle: rollback },
  'GET references': { write: false, handle: listReferences },
  'PUT references': { write: true, handle: putReference },
  'DELETE references': { write: true, handle: deleteReference },
  'GET roots': { write: false, handle: listRoots },
  'POST roots': { write: true, handle: addRoot },
  'DELETE roots': { write: true, handle: deleteRoot },
  'GET policies': { write: false, handle: getPolicy },
  'PUT policies': { write: true, handle: putPolicy },
  'POST policies': { write: false, handle: testPolicy },
  'GET decisions': { write: false, handle: explain },
  'GET audit': { write: false, handle: audit },
  'POST tokens': { write: true, handle: createToken },
}

/** Answers a request under `/kbs/v0/admin/` (ours). Who it is from is checked first. */
export async function adminRoute(broker: Broker, request: BrokerRequest): Promise<BrokerReply> {
  const [, word = '', ...rest] = request.path
  const key = `${request.method} ${word}`
  const route = Object.hasOwn(ROUTES, key) ? ROUTES[key] : undefined
  const by = await administrator(broker, request, route?.write ?? false)
  if (route === undefined) throw unknownRoute()
  return route.handle({ broker, request, by, rest })
}

/** Upstream's admin routes on a resource: `POST` and `DELETE resource/NAMESPACE/TYPE/TAG`. */
export async function upstreamResourceRoute(
  broker: Broker,
  request: BrokerRequest,
): Promise<BrokerReply> {
  const by = await administrator(broker, request, true)
  const call = { broker, request, by, rest: request.path.slice(1) }
  await (request.method === 'DELETE' ? deleteResource(call) : putResource(call))
  return { status: 200, type: 'text/xml', body: '' }
}

async function status({ broker }: Call): Promise<BrokerReply> {
  const { keys, version } = broker.parts
  return jsonReply({
    version,
    id: keys.config.id,
    url: keys.config.url,
    pin: broker.pin,
    sessions: broker.sessions.size,
    resources: (await broker.parts.store.resources()).length,
    references: broker.references.length,
    roots: broker.roots.map(({ id, platform }) => ({ id, platform })),
    policies: Object.fromEntries(
      KINDS.map((kind) => [kind, broker.policyText(kind).setAt === undefined ? 'default' : 'set']),
    ),
    auditHead: await broker.auditHead(),
  })
}

async function listResources({ broker, request }: Call): Promise<BrokerReply> {
  const prefix = request.query.get('prefix') ?? ''
  const all = (await broker.parts.store.resources()).map(describe)
  return jsonReply(all.filter(({ uri }) => uri.startsWith(prefix)))
}

async function readResource({ broker, rest, by, request }: Call): Promise<BrokerReply> {
  const name = resourceName(rest)
  const version = queryInteger(request, 'version')
  const resource = await broker.readResource(name, version)
  if (resource === undefined) throw notFound(name)
  await broker.commit([], { event: 'resource-read', uri: formatResourceUri(name), by: by.name })
  return jsonReply({ ...describe(resource), value: toBase64(resource.value) })
}

async function putResource({ broker, request, rest, by }: Call): Promise<BrokerReply> {
  const name = resourceName(rest)
  if (name.type === 'launch-policy') requireValid('launch', request.body)
  const create = request.ifNoneMatch === '*'
  const version = await broker.setResource(name, request.body, by.name, { create })
  return describeVersion(broker, name, version)
}

async function deleteResource({ broker, rest, by }: Call): Promise<BrokerReply> {
  const name = resourceName(rest)
  const uri = formatResourceUri(name)
  await broker.commit([{ op: 'delete-resource', name }], {
    event: 'resource-delete',
    uri,
    by: by.name,
  })
  const last = (await broker.parts.store.history(name)).at(-1)
  return jsonReply(last === undefined ? {} : describe(last))
}

async function history({ broker, rest }: Call): Promise<BrokerReply> {
  const name = resourceName(rest)
  const versions = await broker.parts.store.history(name)
  if (versions.length === 0) throw notFound(name)
  return jsonReply(versions.map((info) => ({ ...describe(info), deleted: info.deleted })))
}

async function rollback({ broker, request, rest, by }: Call): Promise<BrokerReply> {
  const name = resourceName(rest)
  const version = integer(object(jsonBody(request), 'body', ['version']).version, 'version', 1)
  const old = await broker.readResource(name, version)
  if (old === undefined) {
    const uri = formatResourceUri(name)
    throw new KbsError('RESOURCE_VERSION_NOT_FOUND', `rolling ${uri} back: no version ${version}`)
  }
  const event = 'resource-rollback'
  const made = await broker.setResource(name, old.value, by.name, { event })
  return describeVersion(broker, name, made)
}

async function listReferences({ broker }: Call): Promise<BrokerReply> {
  return jsonReply(broker.references)
}

async function putReference({ broker, request, rest, by }: Call): Promise<BrokerReply> {
  const body = object(jsonBody(request), 'reference')
  const reference = parseReference({ ...body, name: rest[0] ?? '' })
  const document = referenceDocument(reference)
  await broker.commit([{ op: 'put-document', kind: 'reference', id: reference.name, document }], {
    event: 'reference-set',
    reference: document,
    by: by.name,
  })
  return jsonReply(reference)
}

async function deleteReference({ broker, rest, by }: Call): Promise<BrokerReply> {
  const found = broker.references.find(({ name }) => name === rest[0])
  if (found === undefined) {
    throw new KbsError('REFERENCE_NOT_FOUND', 'deleting a reference value: there is none')
  }
  await broker.commit([{ op: 'delete-document', kind: 'reference', id: found.name }], {
    event: 'reference-delete',
    name: found.name,
    by: by.name,
  })
  return jsonReply(found)
}

async function listRoots({ broker }: Call): Promise<BrokerReply> {
  return jsonReply(
    broker.roots.map(({ id, platform, namespace, addedAt }) => {
      return { id, platform, namespace: namespace ?? null, addedAt }
    }),
  )
}

async function addRoot({ broker, request, by }: Call): Promise<BrokerReply> {
  const body = object(jsonBody(request), 'root', ['pem', 'platform', 'namespace'])
  const addedAt = new Date(broker.parts.now()).toISOString()
  const pem = string(body.pem, 'pem', { max: 16_384 })
  const only = optional(body.namespace, (v) => string(v, 'namespace'))
  const root = readRoot(pem, body.platform, addedAt, only)
  const { id, platform } = root
  const namespace = root.namespace ?? null
  // Two at once must not each find the other not there yet.
  await broker.exclusively(async () => {
    requireOneKind(root, broker.roots)
    await broker.commit([{ op: 'put-document', kind: 'root', id, document: rootDocument(root) }], {
      event: 'root-add',
      id,
      platform,
      namespace,
      by: by.name,
    })
  })
  return jsonReply({ id, platform, namespace, addedAt })
}

async function deleteRoot({ broker, rest, by }: Call): Promise<BrokerReply> {
  const found = broker.roots.find(({ id }) => id === rest[0])
  if (found === undefined) throw new KbsError('ROOT_NOT_FOUND', 'deleting a root: there is none')
  const { id, platform, addedAt } = found
  const namespace = found.namespace ?? null
  await broker.commit([{ op: 'delete-document', kind: 'root', id }], {
    event: 'root-delete',
    id,
    platform,
    namespace,
    by: by.name,
  })
  return jsonReply({ id, platform, namespace, addedAt })
}

async function getPolicy({ broker, rest }: Call): Promise<BrokerReply> {
  const kind = oneOf(rest[0], 'policy kind', KINDS)
  const { text, setAt } = broker.policyText(kind)
  return jsonReply({ kind, text, default: setAt === undefined, setAt: setAt ?? null })
}

async function putPolicy({ broker, request, rest, by }: Call): Promise<BrokerReply> {
  const kind = oneOf(rest[0], 'policy kind', KINDS)
  const { text, warnings, ids } = requireValid(kind, request.body)
  const setAt = new Date(broker.parts.now()).toISOString()
  const document: JsonObject = { text, setAt }
  await broker.commit([{ op: 'put-document', kind: 'policy', id: kind, document }], {
    event: 'policy-set',
    kind,
    policyIds: ids,
    by: by.name,
  })
  return jsonReply({ kind, setAt, policyIds: ids, warnings })
}

async function testPolicy({ broker, request, rest }: Call): Promise<BrokerReply> {
  const kind = oneOf(rest[0], 'policy kind', KINDS)
  const body = object(jsonBody(request), 'body', ['request', 'policy'])
  const text = optional(body.policy, (v) => string(v, 'policy')) ?? broker.policyText(kind).text
  const question = object(body.request, 'request')
  try {
    const decision = tryPolicy(kind, text, question as unknown as PolicyRequest)
    return jsonReply({ kind, ...decision, decision: decision.allowed ? 'allow' : 'deny' })
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    const message = `testing the ${kind} policy: the request does not have its members`
    throw new KbsError('KBS_REQUEST_INVALID', message, { cause })
  }
}

async function explain({ broker, rest }: Call): Promise<BrokerReply> {
  const record = await broker.parts.store.decision(rest[0] ?? '')
  if (record === undefined) {
    throw new KbsError('DECISION_NOT_FOUND', 'explaining a decision: there is none of this id')
  }
  return jsonReply(record)
}

async function audit({ broker, request }: Call): Promise<BrokerReply> {
  const after = queryInteger(request, 'after') ?? 0
  const entries = await broker.parts.store.audit(after, AUDIT_PAGE)
  return jsonReply({
    entries: entries.map(({ seq, text, hash }) => ({ seq, text, hash: toHex(hash) })),
    head: await broker.auditHead(),
  })
}

async function createToken({ broker, request, by }: Call): Promise<BrokerReply> {
  const body = object(jsonBody(request), 'body', ['role', 'ttlSeconds'])
  const role = oneOf(body.role, 'role', ADMIN_ROLES)
  const seconds = integer(body.ttlSeconds, 'ttlSeconds', 1, 366 * 86_400)
  const expiresAt = new Date(broker.parts.now() + seconds * 1000).toISOString()
  const token = newAdminToken()
  const id = adminTokenId(token)
  const document = adminTokenDocument(role, expiresAt)
  await broker.commit([{ op: 'put-document', kind: 'admin-token', id, document }], {
    event: 'token-create',
    role,
    expiresAt,
    name: id.slice(0, 12),
    by: by.name,
  })
  return jsonReply({ token, role, expiresAt })
}

function requireValid(
  kind: PolicyKind,
  bytes: Uint8Array,
): { text: string; warnings: unknown; ids: string[] } {
  const text = fromUtf8(bytes, 'policy')
  const { problems, warnings, policies } = validatePolicy(kind, text)
  const [first] = problems
  if (first !== undefined) {
    const { line, column, message } = first
    const said = `reading the ${kind} policy: line ${line}, column ${column}: ${message}`
    throw new PolicyError('POLICY_INVALID', said, { details: { problems } })
  }
  return { text, warnings, ids: Object.keys(policies) }
}

// By its number: another administrator may have set the next one meanwhile.
async function describeVersion(
  broker: Broker,
  name: ResourceName,
  version: number,
): Promise<BrokerReply> {
  const stored = await broker.parts.store.resource(name, version)
  if (stored === undefined) throw notFound(name)
  return jsonReply(describe(stored))
}

function describe({ name, version, size, updatedAt }: ResourceInfo): ResourceDocument {
  return { uri: formatResourceUri(name), version, size, type: name.type, updatedAt }
}

function notFound(name: ResourceName): KbsError {
  return new KbsError('RESOURCE_NOT_FOUND', `reading ${formatResourceUri(name)}: there is none`)
}

function unknownRoute(): KbsError {
  return new KbsError('KBS_ROUTE_UNKNOWN', 'Plugin admin not found')
}

function queryInteger(request: BrokerRequest, name: string): number | undefined {
  const text = request.query.get(name)
  return text === null
    ? undefined
    : integer(/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN, name)
}
