import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { flattenedDecrypt } from 'jose'
import { concat, fromUtf8, toBase64, toHex, utf8 } from '#lib/bytes'
import { initDataDigest, serializeInitData } from '#lib/initdata'
import { type JsonObject, object, parseJson } from '#lib/json'
import { rcarReportData, type TeeKey } from '#protocol/kbs'
import { openSimTee } from '../../src/enclave/tee/index.ts'
import { openPlatform, type Secs, type SimPlatform } from '../../src/host/launcher/sim/index.ts'
import { initDataDir, readKeys } from '../../src/owner/kbs/data-dir.ts'
import { type RunningBroker, runBroker } from '../../src/owner/kbs/run.ts'

/** An answer of the broker. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Uint8Array
  readonly json: JsonObject
}

/** A request to the broker. */
export interface Ask {
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly body?: Uint8Array
}

/** An enclave with its key pair and init-data, as a hostile or honest client would use it. */
export interface Enclave {
  readonly initData: string | undefined
  readonly teeKey: TeeKey
  readonly privateKey: KeyObject
  evidence(reportData: Uint8Array): Promise<JsonObject>
}

/** What an enclave may differ in. */
export interface EnclaveChange {
  readonly secs?: Partial<Secs>
  /** `null` sends none; the enclave is then started without CONFIGID unless `configId` says so. */
  readonly initData?: string | null
  readonly namespace?: string
}

/** MRENCLAVE and MRSIGNER of the enclaves of this world. */
export const AGENT: Uint8Array = new Uint8Array(32).fill(0xa1)
/** See `AGENT`. */
export const SIGNER: Uint8Array = new Uint8Array(32).fill(0x51)

/** A broker with an adjustable clock and a simulated machine, in a temporary folder. */
export class KbsWorld implements AsyncDisposable {
  readonly dir: string
  readonly dataDir: string
  readonly platform: SimPlatform
  readonly adminToken: string
  readonly pin: string
  readonly logged: string[] = []
  /** Added to the broker's clock, in milliseconds. */
  skew = 0
  running!: RunningBroker

  private constructor(dir: string, platform: SimPlatform, adminToken: string, pin: string) {
    this.dir = dir
    this.dataDir = join(dir, 'kbs')
    this.platform = platform
    this.adminToken = adminToken
    this.pin = pin
  }

  static async start(): Promise<KbsWorld> {
    const dir = mkdtempSync(join(tmpdir(), 'enclave-cc-kbs-'))
    const dataDir = join(dir, 'kbs')
    const names = ['127.0.0.1']
    const url = 'https://127.0.0.1'
    const now = Date.now()
    const token = await initDataDir(dataDir, { listen: '127.0.0.1:0', url, names, now })
    const { pin } = await readKeys(dataDir, now)
    const world = new KbsWorld(dir, await openPlatform(join(dir, 'platform')), token, pin)
    await world.serve()
    return world
  }

  /** Starts the server; again after `running.close()`. */
  async serve(options: { readonly collateralGrace?: number } = {}): Promise<void> {
    this.running = await runBroker({
      ...options,
      dataDir: this.dataDir,
      version: 'test',
      log: (level, fields) => void this.logged.push(JSON.stringify({ level, ...fields })),
      now: () => Date.now() + this.skew,
    })
  }

  /** Trusts the simulated root and the agent of this world. */
  async trust(): Promise<void> {
    await this.admin('POST', 'roots', {
      json: { pem: this.platform.exportRoot(), platform: 'simulated' },
    })
    await this.admin('PUT', 'references/agent', {
      json: { mrEnclave: toHex(AGENT), mrSigner: toHex(SIGNER), isvProdId: 1, minIsvSvn: 1 },
    })
  }

  ask(method: string, path: string, ask: Ask = {}): Promise<Answer> {
    const body = ask.json === undefined ? ask.body : utf8(JSON.stringify(ask.json))
    const ca = readFileSync(join(this.dataDir, 'tls/ca.pem'))
    return new Promise((resolve, reject) => {
      const url = `${this.running.url}/kbs/v0/${path}`
      const request = httpsRequest(url, { method, ca, headers: ask.headers, agent: false }, (r) => {
        const chunks: Uint8Array[] = []
        r.on('data', (chunk: Uint8Array) => chunks.push(chunk))
        r.on('end', () => {
          const bytes = concat(...chunks)
          const type = r.headers['content-type']
          const json = type === 'application/json' ? parseJson(bytes) : {}
          const isObject = typeof json === 'object' && json !== null && !Array.isArray(json)
          resolve({
            status: r.statusCode ?? 0,
            headers: r.headers,
            body: bytes,
            json: isObject ? json : { list: json },
          })
        })
        r.on('error', reject)
      })
      request.on('error', reject)
      request.end(body)
    })
  }

  admin(
    method: string,
    path: string,
    ask: Ask = {},
    token: string = this.adminToken,
  ): Promise<Answer> {
    const headers = { ...ask.headers, authorization: `Bearer ${token}` }
    return this.ask(method, `admin/${path}`, { ...ask, headers })
  }

  async set(path: string, value: string): Promise<void> {
    await this.admin('PUT', `resource/${path}`, { body: utf8(value) })
  }

  async explain(id: unknown): Promise<JsonObject> {
    return (await this.admin('GET', `decisions/${String(id)}`)).json
  }

  initData(namespace: string, pins: readonly string[] = [this.pin]): string {
    return serializeInitData({ broker: { url: 'https://127.0.0.1', pins, namespace } })
  }

  enclave(change: EnclaveChange = {}): Enclave {
    const initData =
      change.initData === null
        ? undefined
        : (change.initData ?? this.initData(change.namespace ?? 'acme'))
    const digest = initData === undefined ? new Uint8Array(32) : initDataDigest(initData)
    const secs: Secs = {
      mrEnclave: AGENT,
      mrSigner: SIGNER,
      configId: concat(digest, new Uint8Array(32)),
      isvProdId: 1,
      isvSvn: 1,
      debug: false,
      ...change.secs,
    }
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { x = '', y = '' } = pair.publicKey.export({ format: 'jwk' })
    const teeKey: TeeKey = { kty: 'EC', crv: 'P-256', alg: 'ECDH-ES+A256KW', x, y }
    return {
      initData,
      teeKey,
      privateKey: pair.privateKey,
      evidence: async (reportData) => {
        const [inside, outside] = duplexPair()
        this.platform.serve(outside, secs)
        const tee = openSimTee(inside)
        const quote = await tee.quote(reportData)
        const collateral = parseJson((await tee.collateral?.()) ?? utf8('null'))
        inside.destroy()
        return { quote: toBase64(quote), collateral }
      },
    }
  }

  /** `POST auth`. */
  async auth(): Promise<{ nonce: string; cookie: string }> {
    const request = { version: '0.4.0', tee: 'sgx', 'extra-params': '' }
    const answer = await this.ask('POST', 'auth', { json: request })
    const [set = ''] = answer.headers['set-cookie'] ?? []
    return { nonce: String(answer.json.nonce), cookie: set.split(';')[0] ?? '' }
  }

  /** The body of `POST attest` for a nonce. */
  async attestation(enclave: Enclave, nonce: string): Promise<JsonObject> {
    const { teeKey, initData } = enclave
    const reportData = rcarReportData({ nonce, teeKey, additionalEvidence: '' })
    const primary = await enclave.evidence(reportData)
    return {
      'init-data': initData === undefined ? null : { format: 'toml', body: initData },
      'runtime-data': { nonce, 'tee-pubkey': { ...teeKey } },
      'tee-evidence': { primary_evidence: primary, additional_evidence: '' },
    }
  }

  /** A whole handshake. */
  async attest(
    enclave: Enclave,
  ): Promise<Answer & { readonly cookie: string; readonly token: string }> {
    const { nonce, cookie } = await this.auth()
    const json = await this.attestation(enclave, nonce)
    const answer = await this.ask('POST', 'attest', { json, headers: { cookie } })
    return { ...answer, cookie, token: String(answer.json.token ?? '') }
  }

  get(path: string, token: string): Promise<Answer> {
    return this.ask('GET', `resource/${path}`, { headers: { authorization: `Bearer ${token}` } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running.close()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** Opens a resource with the enclave's key, as an independent JWE implementation does. */
export async function open(enclave: Enclave, answer: Answer): Promise<string> {
  const jwe = object(answer.json, 'JWE') as unknown as Parameters<typeof flattenedDecrypt>[0]
  return fromUtf8((await flattenedDecrypt(jwe, enclave.privateKey)).plaintext, 'resource')
}
