import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { toBase64, utf8 } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import type { AgentClient } from '#protocol/agent'
import { DiskWatch } from '../cache/disk-watch.ts'
import { LayerStore, layersFolder } from '../cache/layer-store.ts'
import { say } from '../launcher/own-words.ts'
import { cancellable } from './cancellable.ts'
import { CGROUP_PARENT, clearCgroup } from './cgroup.ts'
import type { JobChannel } from './channel.ts'
import { ContainerLife } from './container-life.ts'
import { type ControlServer, serveControl } from './control.ts'
import { type Damage, damagedFiles, damageOf } from './damage.ts'
import { type Prepared, parsePrepared, parseSteps } from './enclave-answers.ts'
import { endInit, reportEnd, waitForEnd } from './enclave-end.ts'
import { exitCodeOf, failureOf } from './failure.ts'
import { relayHandover } from './handover-relay.ts'
import type { RunJob } from './job.ts'
import { watchForKilled } from './killed-watch.ts'
import type { LaunchedPod } from './launched-pod.ts'
import { LogWriter } from './log-file.ts'
import type { Enclave } from './pod.ts'
import type { PoolKeeper } from './pool/pool-keeper.ts'
import { processStart } from './process-start.ts'
import type { ContainerRecord } from './record.ts'
import { ContainerStore } from './store.ts'

/** Opens the pod of a container, whose folder has a spool. */
export type OpenPod = (folder: string) => Promise<LaunchedPod>

/**
 * Runs one container from its record to its end: agent, image, init, handover, start, wait. Resolves
 * with its last record when all of it is gone. Throws what refused it before it started; then nothing
 * of it is left, not even the record.
 */
export async function runContainer(
  job: RunJob,
  channel: JobChannel,
  abort: AbortController,
  openPod: OpenPod,
  keeper: PoolKeeper,
): Promise<ContainerRecord> {
  const store = new ContainerStore(job)
  const { id } = job.record
  const life = new ContainerLife(store, job.record, abort)
  let control: ControlServer | undefined
  let exitCode = 0
  using disk = new DiskWatch(layersFolder(job.root))
  try {
    life.update({
      supervisorPid: process.pid,
      supervisorStart: processStart(process.pid) ?? '',
    })
    control = await serveControl(store.socket(id), life)
    followOrders(channel, life)
    await runToEnd(job, store, life, channel, openPod, keeper, disk)
    exitCode = life.record.exitCode ?? 0
    return life.record
  } catch (error) {
    exitCode = exitCodeOf(error)
    trimLayers(job, job.cacheMaxSize)
    if (failureOf(error).code === 'DISK_FULL') makeRoom(job, disk)
    throw error
  } finally {
    await clearCgroup(`${CGROUP_PARENT}/${id}`)
    rmSync(join(store.folder(id), 'spool'), { recursive: true, force: true })
    if (!life.started || life.cancelled || job.remove) store.remove(id)
    await keeper.leave()
    // who stopped it or waited for it is answered now: all of it is gone, its name is free
    life.leave(exitCode)
    await control?.close()
  }
}

/** What was found to be damaged shall not be offered to the next pod again. */
function forgetDamaged(job: RunJob, { layers }: Prepared, damage: Damage): void {
  const files = damagedFiles(layers, damage)
  if (files.length > 0) withLayers(job, (store) => store.forget(files))
}

/** After a preparation the node may hold more layers than it shall. */
function trimLayers(job: RunJob, maxSize: number): void {
  withLayers(job, (store) => store.trim(maxSize))
}

// The next start shall find room: what the node keeps for later is the first to go. Only as much as the
// disk was seen to lose, and of that only what is missing still: another start may have made room.
function makeRoom(job: RunJob, disk: DiskWatch): void {
  disk.look()
  if (disk.wanted > 0) withLayers(job, (store) => store.relieve(() => disk.missing))
}

// No container fails because of what is kept for others.
function withLayers(job: RunJob, work: (store: LayerStore) => void): void {
  try {
    work(new LayerStore(job.root))
  } catch (error) {
    say(`clearing the layer cache: ${String(error)}`)
  }
}

async function runToEnd(
  job: RunJob,
  store: ContainerStore,
  life: ContainerLife,
  channel: JobChannel,
  openPod: OpenPod,
  keeper: PoolKeeper,
  disk: DiskWatch,
): Promise<void> {
  const { id } = job.record
  const folder = store.folder(id)
  using log = new LogWriter(join(folder, 'log.jsonl'))
  await using pod = await openPod(folder)
  pod.sendOutputTo(async (stream, data) => {
    log.write(stream, data, new Date().toISOString())
    if (!job.attach) return
    const sent = channel.send({ event: 'output', stream, data: toBase64(data) })
    // A command that does not read slows the program down, as a pipe would; what is left when the
    // program has ended is at most what the pipes hold.
    await cancellable(sent, life.over).catch(() => {})
  })
  const step = (name: string, text?: string): void =>
    void channel.send({ event: 'progress', step: name, ...(text === undefined ? {} : { text }) })

  step('enclaves')
  const { agent, init } = await cancellable(pod.enclaves, life.signal)
  using _watch = watchForKilled(init.process)
  life.update({ agentPid: agent.process.pid, initPid: init.process.pid })
  // Made while the agent works, if it is not there yet. Init decides, and says at the start what went wrong.
  if (job.scratch !== undefined) void pod.prepareScratch(job.scratch).catch(() => {})
  const { launchId, prepared } = await cancellable(
    prepare(job, agent, channel, life.signal),
    life.signal,
  )
  const cached = prepared.layers.filter((layer) => layer.cached).length
  if (cached > 0) step('layer', `${cached} of ${prepared.layers.length} were on this node`)
  step('handover')
  await cancellable(relayHandover(agent.calls, init.calls, launchId), life.signal)
  step('start')
  const starting = cancellable(init.calls.start({}), life.signal)
  const { pid } = await starting.catch((error: unknown) => {
    if (isCoded(error)) forgetDamaged(job, prepared, damageOf(error))
    throw error
  })
  life.run(
    {
      kill: async (signal, all) => void (await init.calls.kill({ signal, all })),
      abandon: () => init.process.kill(),
    },
    {
      pid,
      digest: prepared.manifestDigest,
      decisionIds: prepared.decisionIds,
      layers: prepared.layers,
      mounts: prepared.mounts,
    },
  )
  void channel.send({ event: 'started', record: life.record })
  keeper.begin()
  disk[Symbol.dispose]()
  trimLayers(job, job.cacheMaxSize)

  const { damaged, ...end } = await waitForEnd(agent, init)
  life.end()
  forgetDamaged(job, prepared, { code: end.code, damaged })
  await endInit(init)
  // what an init that was killed left running holds the output open
  await clearCgroup(`${CGROUP_PARENT}/${id}`)
  await init.drained()
  await reportEnd(agent.calls, id, end)
  life.update({
    state: 'exited',
    ...end,
    finishedAt: new Date().toISOString(),
    pid: 0,
    agentPid: 0,
    initPid: 0,
  })
}

async function prepare(
  job: RunJob,
  agent: Enclave<AgentClient>,
  channel: JobChannel,
  signal: AbortSignal,
): Promise<{ launchId: Uint8Array; prepared: Prepared }> {
  const finished = new AbortController()
  const following = followProgress(agent.calls, channel, AbortSignal.any([signal, finished.signal]))
  try {
    const { launchId, json } = await agent.calls.prepare({
      containerId: job.record.id,
      podId: job.record.id,
      image: job.record.image,
      request: utf8(JSON.stringify(job.request)),
    })
    return { launchId, prepared: parsePrepared(json) }
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
      const { steps, last } = parseSteps(json, after)
      // an agent that answers with nothing new at once would keep us busy for nothing
      if (last === after) return
      after = last
      for (const step of steps) {
        // More may be said of the last step than its agent knows.
        if (step.step === 'ready') continue
        await cancellable(channel.send({ event: 'progress', ...step }), signal)
      }
    } catch {
      return // the agent is gone or the work is done; whoever waits for the result learns why
    }
  }
}

// Before the container runs, a command that vanishes takes its wish with it; afterwards the container
// goes on without it.
function followOrders(channel: JobChannel, life: ContainerLife): void {
  void (async () => {
    for (;;) {
      const line = (await channel.next()) as { op?: unknown; signal?: unknown } | undefined
      if (line?.op === 'signal' && typeof line.signal === 'number') life.deliver(line.signal)
      if (line?.op === 'cancel' || (line === undefined && !life.started)) life.cancel()
      if (line === undefined) return
    }
  })()
}
