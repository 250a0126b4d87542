import { setTimeout as sleep } from 'node:timers/promises'
import { isCoded } from '#lib/errors'
import { discard } from '#lib/http'
import { apiHost, isLoopbackHost, type Reference } from '#lib/oci'
import { createRegistryClient, type RegistryClient, type RetryClock } from '#lib/registry'
import { createHttpTransport, type HttpTransport, systemCa } from '#platform/http'
import type { RegistryAccess } from './registry-access.ts'
import { registryCertificates } from './registry-certificates.ts'
import { credentialFor } from './registry-credentials.ts'

/** A client of one repository, and the connections behind it. */
export interface RegistryConnection extends Disposable {
  readonly client: RegistryClient
}

const PROXY_VARIABLES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY']

/**
 * Connects an owner's command to the registry of an image. TLS is verified against the system's
 * certificates and those of the certificate directory. Plain HTTP is spoken to loopback
 * hosts, unless the flags speak of TLS, and with `--tls-verify=false` to a host without TLS.
 */
export async function connectRegistry(
  reference: Reference,
  access: RegistryAccess,
  push: boolean,
): Promise<RegistryConnection> {
  const credential = await credentialFor(reference, access)
  const transport = await openTransport(reference, access)
  try {
    const client = createRegistryClient({
      host: reference.host,
      repository: reference.repository,
      transport: transport.send,
      clock: systemClock(),
      credential,
      plainHttp: await speaksPlainHttp(reference, access, transport),
      push,
      signal: access.signal,
    })
    return { client, [Symbol.dispose]: () => transport[Symbol.dispose]() }
  } catch (error) {
    transport[Symbol.dispose]()
    throw error
  }
}

async function openTransport(reference: Reference, access: RegistryAccess): Promise<HttpTransport> {
  const { ca, client } = await registryCertificates(reference.host, access.certDir)
  const proxyEnv = proxyVariables(access.env)
  return createHttpTransport({
    ...(access.tlsVerify === false ? { insecure: true } : { ca: [...systemCa(), ...ca] }),
    ...(client === undefined ? {} : { client }),
    ...(proxyEnv === undefined ? {} : { proxyEnv }),
  })
}

async function speaksPlainHttp(
  reference: Reference,
  access: RegistryAccess,
  transport: HttpTransport,
): Promise<boolean> {
  const { tlsVerify, certDir } = access
  if (tlsVerify === true) return false
  if (tlsVerify === undefined) return certDir === undefined && isLoopbackHost(reference.host)
  try {
    const probe = await transport.send({
      method: 'GET',
      url: new URL(`https://${apiHost(reference.host)}/v2/`),
      headers: {},
      signal: access.signal,
    })
    await discard(probe)
    return false
  } catch (error) {
    // Only a server that answers without TLS is spoken to without; one that is away stays away.
    if (isCoded(error) && (error.code === 'TLS_FAILED' || error.code === 'NETWORK_BROKEN')) {
      return true
    }
    throw error
  }
}

function proxyVariables(env: RegistryAccess['env']): Record<string, string> | undefined {
  const found: Record<string, string> = {}
  for (const name of PROXY_VARIABLES.flatMap((upper) => [upper, upper.toLowerCase()])) {
    const value = env[name]
    if (value) found[name] = value
  }
  const proxied = Object.keys(found).some((name) => !/^no_proxy$/i.test(name))
  return proxied ? found : undefined
}

function systemClock(): RetryClock {
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    sleep: async (milliseconds, signal) => {
      try {
        await sleep(milliseconds, undefined, signal === undefined ? {} : { signal })
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      }
    },
  }
}
