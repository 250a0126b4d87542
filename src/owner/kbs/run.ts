import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { adminTokenDocument, adminTokenId } from './admin-auth.ts'
import { Broker, type Log } from './broker.ts'
import { CollateralCache } from './collateral-cache.ts'
import { FILES, pinOfCertificate, readKeys } from './data-dir.ts'
import { KbsError } from './kbs-error.ts'
import { type RunningServer, startServer } from './server.ts'
import { openSqliteStore } from './store/sqlite.ts'

/** Milliseconds between two looks at the directory of collateral. */
const COLLATERAL_INTERVAL = 60_000

/** Options of `runBroker`. */
export interface RunOptions {
  readonly dataDir: string
  /** Default: what `kbs init` recorded. */
  readonly listen?: string
  /** Another certificate than the broker's own. */
  readonly tls?: { readonly key: string; readonly certificate: string }
  /** Directory of collateral for platforms that send none; read again when it changes. */
  readonly collateral?: string
  /** Milliseconds for which expired collateral still counts; default 0. */
  readonly collateralGrace?: number
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
  const collateral = options.collateral && (await openCollateral(options.collateral))
  const store = openSqliteStore(join(dataDir, FILES.database), { now })
  try {
    if ((await store.auditHead()) === undefined) {
      const token = (await readFile(join(dataDir, FILES.adminToken), 'utf8')).trim()
      const document = adminTokenDocument('admin', undefined)
      const id = adminTokenId(token)
      const change = { op: 'put-document', kind: 'admin-token', id, document } as const
      await store.commit([change], { event: 'broker-start', broker: keys.config.id })
    }
    const broker = await Broker.open({
      keys,
      store,
      version,
      log,
      now,
      ...(collateral && { collateral }),
      ...(options.collateralGrace && { collateralGrace: options.collateralGrace }),
    })
    // Enclaves pin the key that is really served.
    if (options.tls !== undefined) broker.pin = pinOfCertificate(options.tls.certificate)
    const server = await startServer(broker, {
      listen: options.listen ?? keys.config.listen,
      ...(options.insecure === true ? {} : { tls: options.tls ?? keys.tls }),
    })
    const refreshing = collateral && keepFresh(collateral, log)
    return {
      broker,
      url: server.url,
      reload(tls) {
        server.reload(tls)
        broker.pin = pinOfCertificate(tls.certificate)
      },
      async close() {
        clearInterval(refreshing || undefined)
        await server.close()
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function openCollateral(directory: string): Promise<CollateralCache> {
  try {
    return await CollateralCache.open(directory)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : ''
    throw new KbsError('KBS_COLLATERAL_UNREADABLE', `reading collateral: ${why}`, { cause })
  }
}

/** Looks for changed files now and then, beside the requests and never within one. */
function keepFresh(collateral: CollateralCache, log: Log): NodeJS.Timeout {
  const look = async (): Promise<void> => {
    try {
      if (await collateral.refresh()) {
        log('info', { event: 'collateral-reloaded', sets: collateral.size })
      }
    } catch (error) {
      log('warn', { event: 'collateral-unreadable', why: String(error) })
    }
  }
  return setInterval(() => void look(), COLLATERAL_INTERVAL).unref()
}
