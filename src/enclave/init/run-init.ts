import type { Duplex } from 'node:stream'
import { handlersOf, register, serveTtrpc } from '#lib/ttrpc'
import { initService, toStatus } from '#protocol/agent'
import { createInitService, type InitServiceOptions } from './init-service.ts'

/** What `runInit` needs. */
export interface RunInitOptions extends InitServiceOptions {
  /** The supervisor's connection; this end is the server. */
  readonly control: Duplex
}

/**
 * Serves one container's life on `control`. Resolves when it was shut down or the supervisor has gone;
 * in both cases the container has ended and nothing is mounted any more.
 */
export async function runInit(options: RunInitOptions): Promise<void> {
  const service = createInitService(options)
  const stop = new AbortController()
  const served = serveTtrpc(options.control, {
    handlers: handlersOf(register(initService, service.handlers)),
    toStatus,
    signal: stop.signal,
  })
  // A supervisor that died cannot ask for anything: its container ends with it.
  await Promise.race([served, service.finished])
  await service.close()
  stop.abort()
  await served
}
