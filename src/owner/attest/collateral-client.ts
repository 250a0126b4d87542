import type { CertificationData, CollateralSet } from '#lib/attest'
import { AttestError, decodeCrl } from '#lib/attest'
import { concat, FormatError, fromUtf8, toHex, utf8 } from '#lib/bytes'
import { discard, type HttpResponse, header, readBody, type Transport } from '#lib/http'

/** Intel's service. */
export const INTEL_PCS = 'https://api.trustedservices.intel.com'

const INTEL_ROOT_CRL = 'https://certificates.trustedservices.intel.com/IntelSGXRootCA.der'

const MAX_ANSWER = 1024 * 1024

/** A collateral service: Intel's PCS v4, or a PCCS, which caches it. */
export interface CollateralService {
  /** Origin, without the path of the API. */
  readonly base: URL
  readonly transport: Transport
  readonly signal: AbortSignal
}

/** The platforms that a set is for. */
export interface PlatformFamily {
  readonly tee: 'sgx' | 'tdx'
  /** 6 bytes. */
  readonly fmspc: Uint8Array
  readonly ca: 'platform' | 'processor'
}

/** When a TCB recovery counts: at once, or after the weeks that Intel grants. */
export type Update = 'early' | 'standard'

/**
 * Fetches a whole set (docs/formats/quote.md, Collateral). Nothing is believed yet: `verifyCollateralSet` judges.
 * Throws AttestError COLLATERAL_NOT_FOUND, COLLATERAL_UNAVAILABLE, or HttpError.
 */
export async function fetchCollateral(
  service: CollateralService,
  family: PlatformFamily,
  update: Update,
): Promise<CollateralSet> {
  const { tee, ca } = family
  const fmspc = toHex(family.fmspc).toUpperCase()
  const tcb = await get(service, tee, `tcb?fmspc=${fmspc}&update=${update}`)
  const identity = await get(service, tee, `qe/identity?update=${update}`)
  const pckCrl = await get(service, 'sgx', `pckcrl?ca=${ca}&encoding=der`)
  const rootCaCrl = await fetchRootCrl(service)
  return {
    tcbInfo: tcb.body,
    // The name that version 3 of the service had is still what some caches send.
    tcbInfoIssuerChain: chainOf(tcb, ['tcb-info-issuer-chain', 'sgx-tcb-info-issuer-chain']),
    qeIdentity: identity.body,
    qeIdentityIssuerChain: chainOf(identity, ['sgx-enclave-identity-issuer-chain']),
    pckCrl: crlOf(pckCrl.body),
    rootCaCrl,
    pckCrlIssuerChain: chainOf(pckCrl, ['sgx-pck-crl-issuer-chain']),
  }
}

/**
 * Fetches the PCK chain for a quote that names its platform only (certification data 1 to 3): leaf,
 * authority and root, PEM. Intel's service takes a PPID under RSA-3072 alone; a PCCS goes by `qeId`.
 */
export async function fetchPckChain(
  service: CollateralService,
  data: CertificationData & { kind: 'ppid' },
  qeId: Uint8Array,
): Promise<Uint8Array> {
  const query = new URLSearchParams({
    ...(isIntel(service.base) ? {} : { qeid: toHex(qeId) }),
    ...(data.encryption === 'rsa-3072' && { encrypted_ppid: toHex(data.ppid) }),
    cpusvn: toHex(data.cpuSvn),
    pcesvn: toHex(new Uint8Array([data.pceSvn & 0xff, data.pceSvn >> 8])),
    pceid: toHex(data.pceId ?? new Uint8Array(2)),
  })
  const answer = await get(service, 'sgx', `pckcert?${query}`)
  const leaf = fromUtf8(answer.body, 'pckcert').trimEnd()
  return concat(utf8(`${leaf}\n`), chainOf(answer, ['sgx-pck-certificate-issuer-chain']))
}

interface Answer {
  readonly what: string
  readonly response: HttpResponse
  readonly body: Uint8Array
}

async function fetchRootCrl(service: CollateralService): Promise<Uint8Array> {
  if (isIntel(service.base)) {
    return crlOf((await send(service, new URL(INTEL_ROOT_CRL))).body)
  }
  return crlOf((await get(service, 'sgx', 'rootcacrl')).body)
}

function isIntel(base: URL): boolean {
  return base.origin === INTEL_PCS
}

function get(service: CollateralService, tee: 'sgx' | 'tdx', query: string): Promise<Answer> {
  return send(service, new URL(`/${tee}/certification/v4/${query}`, service.base))
}

async function send(service: CollateralService, url: URL): Promise<Answer> {
  const what = `${url.host}${url.pathname}`
  const { transport, signal } = service
  const response = await transport({ method: 'GET', url, headers: { accept: '*/*' }, signal })
  if (response.status !== 200) {
    await discard(response)
    // 461 and 462 are a PCCS that does not know the platform or could not get its certificate.
    const missing = [404, 410, 461, 462].includes(response.status)
    const code = missing ? 'COLLATERAL_NOT_FOUND' : 'COLLATERAL_UNAVAILABLE'
    throw new AttestError(code, `asking ${what}: it answered ${response.status}`, {
      field: what,
      expected: '200',
      actual: String(response.status),
    })
  }
  const body = await readBody(response, MAX_ANSWER)
  if (body !== undefined) return { what, response, body }
  throw unusable(what, `over ${MAX_ANSWER} bytes`)
}

/** Percent-encoded PEM in a header; a plus sign is one, not a space. */
function chainOf({ what, response }: Answer, names: readonly string[]): Uint8Array {
  const value = names.map((name) => header(response, name)).find((found) => found !== undefined)
  if (value === undefined) throw unusable(what, `no ${names[0]} header`)
  try {
    return utf8(decodeURIComponent(value))
  } catch (cause) {
    throw unusable(what, `a ${names[0]} header that is not percent-encoded`, cause)
  }
}

function crlOf(body: Uint8Array): Uint8Array {
  try {
    return decodeCrl(body)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw unusable('the service for a CRL', 'broken PEM or DER', cause)
  }
}

function unusable(what: string, found: string, cause?: unknown): AttestError {
  return new AttestError('COLLATERAL_UNAVAILABLE', `asking ${what}: it answered ${found}`, {
    field: what,
    actual: found,
    cause,
  })
}
