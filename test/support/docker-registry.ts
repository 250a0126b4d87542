import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** What a registry demands of its clients. */
export interface DockerRegistryOptions {
  /** Content of an htpasswd file (bcrypt). */
  readonly htpasswd?: string
  readonly tls?: { readonly cert: string; readonly key: string }
}

/** A running `docker-registry` of the distribution on a loopback port of its own. */
export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** Where it keeps its files. */
  readonly storage: string
  /** Lines of its log up to now: one a request. */
  readonly log: readonly string[]
}

/** Starts a registry and waits until it listens; disposal ends it and removes its files. */
export async function startDockerRegistry(
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-registry-'))
  const storage = join(folder, 'storage')
  const file = (name: string, content: string): string => {
    const path = join(folder, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const http: Record<string, unknown> = { addr: '127.0.0.1:0', secret: 'test' }
  if (options.tls !== undefined) {
    http.tls = {
      certificate: file('tls.crt', options.tls.cert),
      key: file('tls.key', options.tls.key),
    }
  }
  const config = {
    version: 0.1,
    log: { level: 'info' },
    storage: {
      filesystem: { rootdirectory: storage },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http,
    ...(options.htpasswd === undefined
      ? {}
      : { auth: { htpasswd: { realm: 'test', path: file('htpasswd', options.htpasswd) } } }),
  }
  // YAML is a superset of JSON.
  const child = spawn('docker-registry', ['serve', file('config.yml', JSON.stringify(config))], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log: string[] = []
  try {
    return {
      host: await listening(child, log),
      storage,
      log,
      [Symbol.asyncDispose]: async () => {
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        await ended
        rmSync(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

function listening(child: ChildProcess, log: string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on('line', (line) => {
      log.push(line)
      const host = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
      if (host !== undefined) resolve(host)
    })
  }
  child.once('error', reject)
  child.once('exit', (code) => {
    reject(new Error(`docker-registry ended with ${code}: ${log.slice(-3).join('\n')}`))
  })
  return promise
}
