import { openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { toBase64, utf8 } from '#lib/bytes'
import { CodedError, isCoded } from '#lib/errors'
import { parseJson } from '#lib/json'
import type {
  AgentClient,
  InitClient,
  PrepareResult,
  ProgressEvent,
  WaitReply,
} from '#protocol/agent'
import { cancellable } from './cancellable.ts'
import { CGROUP_PARENT, clearCgroup } from './cgroup.ts'
import type { JobChannel } from './channel.ts'
import { serveControl } from './control.ts'
import { relayHandover } from './handover-relay.ts'
import type { RunJob } from './job.ts'
import { LogWriter } from './log-file.ts'
import type { Enclave, Pod } from './pod.ts'
import { processStart } from './process-start.ts'
import type { ContainerRecord } from './record.ts'
import { ContainerStore } from './store.ts'

const TERM = 15
const KILL = 9
/** How long init has to unmount and end. */
const SHUTDOWN_MS = 10_000

/**
 * Runs one container from its record to its end: agent, image, init, handover, start, wait. Throws
 * what refused it before it started; then nothing of it is left.
 */
export async function runContainer(
  job: RunJob,
  channel: JobChannel,
  abort: AbortController,
  openPod: (spool: string, logFd: number) => Promise<Pod>,
): Promise<void> {
  const store = new ContainerStore(job)
  const { id } = job.record
  const folder = store.folder(id)
  const spool = join(folder, 'spool')
  let record: ContainerRecord = {
    ...job.record,
    supervisorPid: process.pid,
    supervisorStart: processStart(process.pid) ?? '',
  }
  store.save(record)
  const update = (change: Partial<ContainerRecord>): void => {
    record = { ...record, ...change }
    store.save(record)
  }
  const logFd = openSync(join(folder, 'enclaves.log'), 'a', 0o600)
  const log = new LogWriter(join(folder, 'log.jsonl'))
  let keep = false
  try {
    await using pod = await openPod(spool, logFd)
    const orders = followOrders(channel, abort)
    const output = (stream: 'stdout' | 'stderr', data: Uint8Array): void => {
      log.write(stream, data, new Date().toISOString())
      if (job.attach) void channel.send({ event: 'output', stream, data: toBase64(data) })
    }
    await channel.send({ event: 'progress', step: 'enclaves' })
    const [agent, init] = await cancellable(
      Promise.all([pod.agent(), pod.init(output)]),
      abort.signal,
    )
    update({ agentPid: agent.process.pid, initPid: init.process.pid })

    const prepared = await cancellable(prepare(job, agent, channel, abort.signal), abort.signal)
    await channel.send({ event: 'progress', step: 'handover' })
    await cancellable(relayHandover(agent.calls, init.calls, prepared.launchId), abort.signal)
    const ended = Promise.withResolvers<WaitReply>()
    await channel.send({ event: 'progress', step: 'start' })
    const { pid } = await cancellable(init.calls.start({}), abort.signal)
    keep = true
    orders.deliver = (signal) => void init.calls.kill({ signal, all: false }).catch(() => {})
    update({
      state: 'running',
      startedAt: new Date().toISOString(),
      pid,
      digest: prepared.result.manifestDigest,
      decisionIds: prepared.result.decisionIds,
      layers: prepared.result.layers,
    })
    const stop = async (timeout: number): Promise<void> => {
      await init.calls.kill({ signal: TERM, all: false }).catch(() => {})
      const timer = setTimeout(
        () => void init.calls.kill({ signal: KILL, all: true }).catch(() => {}),
        timeout * 1000,
      )
      await ended.promise.finally(() => clearTimeout(timer))
    }
    const server = await serveControl(store.socket(id), {
      kill: async (signal) => void (await init.calls.kill({ signal, all: false })),
      stop,
      wait: async () => (await ended.promise).exitCode,
    })
    await channel.send({ event: 'started', record })
    abort.signal.addEventListener('abort', () => void stop(record.stopTimeout), { once: true })

    const end = await waitForEnd(agent, init)
    await endInit(init)
    // what an init that was killed left running holds the output open
    await clearCgroup(`${CGROUP_PARENT}/${id}`)
    await init.drained
    if (end.code !== '') await reportEnd(agent.calls, id, end)
    update({
      state: 'exited',
      exitCode: end.exitCode,
      ...(end.code === '' ? {} : { code: end.code, message: end.message }),
      finishedAt: new Date().toISOString(),
      pid: 0,
      agentPid: 0,
      initPid: 0,
    })
    ended.resolve(end)
    // answers to waiting commands leave before their sockets go
    await new Promise<void>((resolve) => server.close(() => resolve()))
    await channel.send({ event: 'exit', record })
  } finally {
    log.close()
    await clearCgroup(`${CGROUP_PARENT}/${id}`)
    rmSync(spool, { recursive: true, force: true })
    rmSync(store.socket(id), { force: true })
    if (!keep || job.remove) store.remove(id)
  }
}

async function prepare(
  job: RunJob,
  agent: Enclave<AgentClient>,
  channel: JobChannel,
  signal: AbortSignal,
): Promise<{ launchId: Uint8Array; result: PrepareResult }> {
  const finished = new AbortController()
  const following = followProgress(agent.calls, channel, AbortSignal.any([signal, finished.signal]))
  try {
    const { launchId, json } = await agent.calls.prepare({
      containerId: job.record.id,
      podId: job.record.id,
      image: job.record.image,
      request: utf8(JSON.stringify(job.request)),
    })
    return { launchId, result: parseJson(json) as unknown as PrepareResult }
  } finally {
    finished.abort()
    await following
  }
}

async function followProgress(
  calls: AgentClient,
  channel: JobChannel,
  signal: AbortSignal,
): Promise<void> {
  let after = 0n
  while (!signal.aborted) {
    try {
      const { json } = await calls.events({ after }, { signal })
      for (const { seq, ...event } of parseJson(json) as unknown as ProgressEvent[]) {
        after = BigInt(seq)
        await channel.send({ event: 'progress', ...event })
      }
    } catch {
      return // the agent is gone or the work is done; whoever waits for the result learns why
    }
  }
}

interface Orders {
  /** Set once there is a container to signal. */
  deliver: ((signal: number) => void) | undefined
}

// Before the container runs, a vanished command or `cancel` gives up; afterwards a detached container
// goes on, and only signals are followed.
function followOrders(channel: JobChannel, abort: AbortController): Orders {
  const orders: Orders = { deliver: undefined }
  void (async () => {
    for (;;) {
      const line = (await channel.next()) as { op?: unknown; signal?: unknown } | undefined
      if (line?.op === 'signal' && typeof line.signal === 'number') orders.deliver?.(line.signal)
      if (line !== undefined && line.op !== 'cancel') continue
      if (orders.deliver === undefined) {
        abort.abort(new CodedError('INTERRUPTED', 'the command that asked for it is gone'))
      }
      if (line === undefined) return
    }
  })()
  return orders
}

/** Lets init take down what it made; one that does not come to its end is killed. */
async function endInit(init: Enclave<InitClient>): Promise<void> {
  await init.calls.shutdown({}, { timeoutMs: SHUTDOWN_MS }).catch(() => {})
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, SHUTDOWN_MS)
  await Promise.race([init.process.ended, late.promise])
  clearTimeout(timer)
  await init.process.kill()
}

async function waitForEnd(
  agent: Enclave<AgentClient>,
  init: Enclave<InitClient>,
): Promise<WaitReply> {
  const lost = (program: string) => (): WaitReply => ({
    exitCode: 137,
    signal: KILL,
    code: 'ENCLAVE_LOST',
    message: `the ${program} enclave ended while its container ran`,
  })
  return await Promise.race([
    init.calls.wait({}).catch(lost('init')),
    // without its agent a container has nobody to answer for it
    agent.process.ended.then(lost('agent')),
  ])
}

async function reportEnd(agent: AgentClient, id: string, end: WaitReply): Promise<void> {
  const report = { containerId: id, code: end.code, message: end.message, exitCode: end.exitCode }
  try {
    await agent.report({ json: utf8(JSON.stringify(report)) }, { timeoutMs: 10_000 })
  } catch (error) {
    if (!isCoded(error)) throw error
  }
}
