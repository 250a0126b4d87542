import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import { isSegment, serializeInitData } from '#lib/initdata'
import { brokerPlace, dataDirOf } from './client-places.ts'
import {
  certificateNames,
  FILES,
  initDataDir,
  pinOfCertificate,
  readConfig,
  readKeys,
  writeConfig,
} from './data-dir.ts'
import { KbsError } from './kbs-error.ts'
import { runBroker } from './run.ts'

const LISTEN = '127.0.0.1:8080'
const DAY = 86_400_000

/** `kbs init` */
export async function init(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const dataDir = dataDirOf(context, input)
  const listen = input.text('listen') ?? LISTEN
  const url = originOf(input.text('kbs-url') ?? urlOf(listen))
  const names = certificateNames(url, listen, input.list('name'))
  const fixedUrl = input.text('kbs-url') !== undefined
  await initDataDir(dataDir, { listen, url, names, fixedUrl, now: Date.now() })
  const document = {
    dataDir,
    url,
    listen,
    ca: join(dataDir, FILES.authority),
    adminTokenFile: join(dataDir, FILES.adminToken),
    pin: (await readKeys(dataDir, Date.now())).pin,
  }
  const text = [
    `broker made in ${dataDir}`,
    `it trusts no platform yet. next: enclave-cc kbs serve --data-dir ${dataDir}`,
  ].join('\n')
  return { document, text }
}

/** `kbs serve` */
export async function serve(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const dataDir = dataDirOf(context, input)
  const listen = input.text('listen')
  const insecure = input.flag('insecure-http')
  const collateral = input.text('collateral')
  const collateralGrace = parseGrace(input.text('collateral-grace'))
  if (collateralGrace > 0) {
    context.warn(
      'expired collateral is taken for a while: revocations may be learned of that much later',
    )
  }
  if (insecure)
    context.warn('plain HTTP: no enclave of ours connects, and admin tokens travel in clear')
  const loadTls = () => foreignTls(input)
  const tls = await loadTls()
  const running = await runBroker({
    dataDir,
    ...(listen === undefined ? {} : { listen }),
    ...(tls === undefined ? {} : { tls }),
    insecure,
    ...(collateral === undefined ? {} : { collateral }),
    collateralGrace,
    version: context.program.version,
    log: (level, fields) => context.log(level, { component: 'kbs', ...fields }),
    now: Date.now,
  })
  // Commands on this machine find the broker where it really is; init-data uses it too.
  await recordPlace(
    dataDir,
    listen,
    running.url,
    tls === undefined ? undefined : running.broker.pin,
  )
  context.stdout(`${JSON.stringify({ event: 'listening', url: running.url })}\n`)
  const reload = (): void => {
    void (async () => {
      try {
        running.reload((await loadTls()) ?? (await readKeys(dataDir, Date.now())).tls)
        context.log('info', { component: 'kbs', event: 'tls-reloaded' })
      } catch (error) {
        context.log('error', { component: 'kbs', event: 'tls-reload-failed', why: String(error) })
      }
    })()
  }
  process.on('SIGHUP', reload)
  try {
    await aborted(context.signal)
  } finally {
    process.off('SIGHUP', reload)
    await running.close()
  }
  return {}
}

/** `kbs init-data` */
export async function initData(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const namespace = input.text('namespace')
  if (namespace === undefined || !isSegment(namespace)) {
    throw new CodedError('USAGE', 'kbs init-data needs --namespace with letters, digits, _ . -')
  }
  const place = await brokerPlace(context, input)
  const url = originOf(place.url)
  const local = join(dataDirOf(context, input), FILES.server)
  // A broker of this machine is read from its directory; another one is asked over TLS.
  const remote = context.places.kbsUrl !== undefined
  const pin = remote
    ? await remotePin(url, place.ca)
    : ((await readConfig(dataDirOf(context, input))).pin ?? pinOfCertificate(await readOr(local)))
  const document = serializeInitData({ broker: { url, pins: [pin], namespace } })
  return { document: { initData: document, url, pins: [pin], namespace }, text: document }
}

async function remotePin(url: string, ca: string | undefined): Promise<string> {
  const { hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const socket = connect({
    host,
    port: Number(port || 443),
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    ...(ca === undefined ? {} : { ca }),
    minVersion: 'TLSv1.2',
    timeout: 10_000,
  })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve).once('error', reject)
      socket.once('timeout', () => reject(new Error('no answer in time')))
    })
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) throw new Error('it showed no certificate')
    return pinOfCertificate(certificate.toString())
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : ''
    const code = /certificate|self.signed|altnames/i.test(why)
      ? 'KBS_TLS_UNTRUSTED'
      : 'KBS_UNREACHABLE'
    throw new KbsError(code, `asking the broker at ${url} for its key: ${why}`, { cause })
  } finally {
    socket.destroy()
  }
}

function parseGrace(days: string = '0'): number {
  if (/^[0-7]$/.test(days)) return Number(days) * DAY
  throw new CodedError('USAGE', 'kbs serve: --collateral-grace is not 0 to 7 days')
}

async function foreignTls(
  input: CommandInput,
): Promise<{ key: string; certificate: string } | undefined> {
  const certificate = input.text('tls-cert')
  const key = input.text('tls-key')
  if (certificate === undefined && key === undefined) return undefined
  if (certificate === undefined || key === undefined) {
    throw new CodedError('USAGE', 'kbs serve needs --tls-cert and --tls-key together')
  }
  return { key: await readOr(key), certificate: await readOr(certificate) }
}

async function recordPlace(
  dataDir: string,
  listen: string | undefined,
  url: string,
  pin: string | undefined,
): Promise<void> {
  const { pin: before, ...config } = await readConfig(dataDir)
  const next = {
    ...config,
    listen: listen ?? config.listen,
    // A URL that kbs init was given stays; one that came from --listen moves with it.
    url: config.fixedUrl === true ? config.url : url,
    ...(pin === undefined ? {} : { pin }),
  }
  const same = next.url === config.url && next.listen === config.listen && pin === before
  if (!same) await writeConfig(dataDir, next)
}

function urlOf(listen: string): string {
  const at = listen.lastIndexOf(':')
  const host = listen.slice(0, at)
  const shown = host === '0.0.0.0' || host === '[::]' ? '127.0.0.1' : host
  return `https://${shown}:${listen.slice(at + 1)}`
}

function originOf(text: string): string {
  const url = URL.parse(text)
  if (url === null || url.pathname !== '/' || url.search !== '') {
    throw new CodedError('USAGE', 'a broker URL is https://HOST[:PORT] and nothing after it')
  }
  return url.origin
}

async function readOr(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new CodedError('INPUT_UNREADABLE', `reading ${file} failed`, { cause })
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
