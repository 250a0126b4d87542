import { once } from 'node:events'
import { createServer, request } from 'node:http'

/** A registry's front door that counts who asks for what. */
export interface CountingProxy extends AsyncDisposable {
  /** `host:port`. */
  readonly address: string
  /** `METHOD path` of each request since the last call. */
  take(): readonly string[]
}

/** Passes every request on to `target` (`host:port`), unchanged. */
export async function countingProxy(target: string): Promise<CountingProxy> {
  const [hostname = '', port = ''] = target.split(':')
  let seen: string[] = []
  const server = createServer((incoming, answer) => {
    const { method = '', url: path = '', headers } = incoming
    seen.push(`${method} ${path}`)
    const outgoing = request({ hostname, port, method, path, headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 500, reply.headers)
      reply.pipe(answer)
    })
    outgoing.on('error', () => answer.destroy())
    incoming.pipe(outgoing)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: own } = server.address() as { port: number }
  return {
    address: `127.0.0.1:${own}`,
    take() {
      const taken = seen
      seen = []
      return taken
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
