// A collateral service in memory, with the paths and the quirks of Intel's caching service (PCCS):
// CRLs as hexadecimal text, percent-encoded issuer chains, codes of its own.
import { type CollateralSet, encodeChain } from '#lib/attest'
import { fromUtf8, toHex, utf8 } from '#lib/bytes'
import type { HttpRequest, HttpResponse, Transport } from '#lib/http'
import { splitPem } from '#lib/x509'

/** Platforms that a service knows. */
export interface ServedSet {
  readonly tee: 'sgx' | 'tdx'
  /** Upper-case hex. */
  readonly fmspc: string
  readonly ca: 'platform' | 'processor'
  /** Served with `update=early`; default the same. */
  readonly early?: CollateralSet
  readonly set: CollateralSet
  /** PEM of leaf, authority and root, for `pckcert`. */
  readonly pckChain?: Uint8Array
}

/** One service; every request is kept. */
export interface Pccs {
  readonly transport: Transport
  readonly requests: URL[]
  sets: ServedSet[]
  /** Changes an answer, for what no honest service sends. */
  edit: (url: URL, answer: PccsAnswer) => PccsAnswer
}

/** An answer before it is sent. */
export interface PccsAnswer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: Uint8Array
}

/** Starts a service without a socket: its transport is called in place of one over HTTP. */
export function startPccs(sets: ServedSet[]): Pccs {
  const pccs: Pccs = {
    requests: [],
    sets,
    edit: (_, answer) => answer,
    transport: async ({ url }: HttpRequest): Promise<HttpResponse> => {
      pccs.requests.push(url)
      const { status, headers, body } = pccs.edit(url, answerFor(url, pccs.sets))
      return {
        status,
        headers,
        body: (async function* () {
          yield body
        })(),
      }
    },
  }
  return pccs
}

function answerFor(url: URL, sets: readonly ServedSet[]): PccsAnswer {
  const [, tee, path] = /^\/(sgx|tdx)\/certification\/v4\/(.+)$/.exec(url.pathname) ?? []
  const query = url.searchParams
  const early = query.get('update') === 'early'
  const find = (test: (served: ServedSet) => boolean): CollateralSet | undefined => {
    const served = sets.find((item) => test(item))
    return early ? (served?.early ?? served?.set) : served?.set
  }
  if (path === 'tcb') {
    const set = find((item) => item.tee === tee && item.fmspc === query.get('fmspc'))
    return set
      ? ok(set.tcbInfo, { 'tcb-info-issuer-chain': encoded(set.tcbInfoIssuerChain) })
      : status(404)
  }
  if (path === 'qe/identity') {
    const set = find((item) => item.tee === tee)
    const name = 'sgx-enclave-identity-issuer-chain'
    return set ? ok(set.qeIdentity, { [name]: encoded(set.qeIdentityIssuerChain) }) : status(404)
  }
  if (path === 'pckcrl' && tee === 'sgx') {
    const set = find((item) => item.ca === query.get('ca'))
    if (set === undefined) return status(404)
    // Without encoding=der the real service answers hexadecimal text of it.
    const body = query.get('encoding') === 'der' ? set.pckCrl : utf8(toHex(set.pckCrl))
    return ok(body, { 'sgx-pck-crl-issuer-chain': encoded(set.pckCrlIssuerChain) })
  }
  if (path === 'rootcacrl' && tee === 'sgx') {
    const set = find(() => true)
    return set ? ok(utf8(toHex(set.rootCaCrl)), {}) : status(404)
  }
  if (path === 'pckcert' && tee === 'sgx') {
    const chain = sets.find((item) => item.pckChain !== undefined)?.pckChain
    if (chain === undefined || !query.has('qeid')) return status(461)
    const [leaf = new Uint8Array(), ...rest] = splitPem(chain, 'CERTIFICATE', 3)
    const name = 'sgx-pck-certificate-issuer-chain'
    return ok(utf8(encodeChain(leaf)), { [name]: encoded(utf8(encodeChain(...rest))) })
  }
  return status(404)
}

function ok(body: Uint8Array, headers: Record<string, string>): PccsAnswer {
  return { status: 200, headers: { 'request-id': '0', ...headers }, body }
}

function status(code: number): PccsAnswer {
  return { status: code, headers: {}, body: utf8('No cache data for this platform.') }
}

function encoded(pem: Uint8Array): string {
  return encodeURIComponent(fromUtf8(pem, 'chain'))
}
