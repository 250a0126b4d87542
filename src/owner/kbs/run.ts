import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { adminTokenDocument, adminTokenId } from './admin-auth.ts'
import { Broker, type Log } from './broker.ts'
import { FILES, pinOfCertificate, readKeys } from './data-dir.ts'
import { type RunningServer, startServer } from './server.ts'
import { openSqliteStore } from './store/sqlite.ts'

/** Options of `runBroker`. */
export interface RunOptions {
  readonly dataDir: string
  /** Default: what `kbs init` recorded. */
  readonly listen?: string
  /** Another certificate than the broker's own. */
  readonly tls?: { readonly key: string; readonly certificate: string }
  /** Plain HTTP. */
  readonly insecure?: boolean
  readonly version: string
  readonly log: Log
  /** Milliseconds since 1970. */
  now(): number
}

/** A broker with its server. */
export interface RunningBroker extends RunningServer {
  readonly broker: Broker
}

/**
 * Opens the data directory and serves it. The admin token that `kbs init` wrote is made known on
 * the first start. Throws KbsError KBS_NOT_INITIALISED, KBS_PORT_TAKEN.
 */
export async function runBroker(options: RunOptions): Promise<RunningBroker> {
  const { dataDir, version, log, now } = options
  const keys = await readKeys(dataDir, now())
  const store = openSqliteStore(join(dataDir, FILES.database), { now })
  try {
    if ((await store.auditHead()) === undefined) {
      const token = (await readFile(join(dataDir, FILES.adminToken), 'utf8')).trim()
      const document = adminTokenDocument('admin', undefined)
      const id = adminTokenId(token)
      const change = { op: 'put-document', kind: 'admin-token', id, document } as const
      await store.commit([change], { event: 'broker-start', broker: keys.config.id })
    }
    const broker = await Broker.open({ keys, store, version, log, now })
    // Enclaves pin the key that is really served.
    if (options.tls !== undefined) broker.pin = pinOfCertificate(options.tls.certificate)
    const server = await startServer(broker, {
      listen: options.listen ?? keys.config.listen,
      ...(options.insecure === true ? {} : { tls: options.tls ?? keys.tls }),
    })
    return {
      broker,
      url: server.url,
      reload(tls) {
        server.reload(tls)
        broker.pin = pinOfCertificate(tls.certificate)
      },
      async close() {
        await server.close()
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}
