import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { freePort, type World } from './world.ts'

/** A broker of the host's own that passes everything on to the real one. */
export interface FalseBroker extends AsyncDisposable {
  /** Init-data that names it: its address and its key. */
  readonly initData: string
  /** Requests passed on so far. */
  readonly relayed: number
  /** True once the real broker answered an attestation or a resource with success. */
  readonly released: boolean
}

/**
 * The attack of own-protocols 1: the host points a genuine enclave at a broker of its own, which relays
 * the real broker's nonce and answers. It has its own key, since it does not have the real broker's.
 */
export async function startFalseBroker(world: World): Promise<FalseBroker> {
  const data = world.path('false-kbs')
  const port = await freePort()
  const url = `https://127.0.0.1:${port}`
  await world.ok(['kbs', 'init', '--data-dir', data])
  const own = new X509Certificate(readFileSync(`${data}/tls/server.pem`))
  const spki = own.publicKey.export({ type: 'spki', format: 'der' })
  const pin = `sha256/${createHash('sha256').update(spki).digest('base64')}`
  const initData = readFileSync(world.env.ENCLAVE_CC_INIT_DATA ?? '', 'utf8')
    .replace(/url = "[^"]*"/, `url = "${url}"`)
    .replace(/pins = \[[^\]]*\]/, `pins = ["${pin}"]`)
  const ca = readFileSync(`${world.kbsData}/tls/ca.pem`, 'utf8')
  const state = { relayed: 0, released: false }
  const server = createServer(
    { key: readFileSync(`${data}/tls/server.key`), cert: readFileSync(`${data}/tls/server.pem`) },
    (request, response) => {
      void (async () => {
        const chunks: Buffer[] = []
        for await (const chunk of request) chunks.push(chunk as Buffer)
        state.relayed++
        const { request: send } = await import('node:https')
        const upstream = send(`${world.kbsUrl}${request.url}`, {
          method: request.method,
          headers: { ...request.headers, host: new URL(world.kbsUrl).host },
          ca,
        })
        upstream.end(Buffer.concat(chunks))
        const [answer] = (await once(upstream, 'response')) as [import('node:http').IncomingMessage]
        const secret = !request.url?.endsWith('/auth')
        if (secret && answer.statusCode === 200) state.released = true
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      })().catch(() => response.destroy())
    },
  )
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    initData,
    get relayed() {
      return state.relayed
    },
    get released() {
      return state.released
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
