import { setTimeout as delay } from 'node:timers/promises'
import type { Command, CommandContext, CommandInput, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import { sweepBundles } from '../../launcher/bundle-mount.ts'
import { CGROUP_PARENT, clearCgroup } from '../cgroup.ts'
import { askControl, type ControlRequest } from '../control.ts'
import { endSpares } from '../pool/end-spares.ts'
import { PoolFolder } from '../pool/pool-folder.ts'
import { ContainerStore } from '../store.ts'
import { signalNumber } from './signals.ts'

const TRIES = 200
const PAUSE_MS = 50

/** `stop`: the image's stop signal (TERM if it names none), then KILL. */
export const stop: Command = {
  path: ['stop'],
  summary: 'Stop containers: TERM, then KILL',
  operands: '<id...>',
  options: [{ flags: '-t, --time <seconds>', help: 'seconds between the two' }],
  example: 'enclave-cc stop db',
  run: async (context, input) => {
    const time = input.text('time')
    if (time !== undefined && !/^\d{1,6}$/.test(time)) {
      throw new CodedError('USAGE', `-t ${time}: seconds`)
    }
    return await each(context, input, async (id, store) => {
      const record = store.read(id)
      const timeout = time === undefined ? record.stopTimeout : Number(time)
      await askSupervisor(store, id, { op: 'stop', timeout }, context.signal)
    })
  },
}

/** `kill`: one signal. */
export const kill: Command = {
  path: ['kill'],
  summary: 'Send a signal to containers',
  operands: '<id...>',
  options: [{ flags: '-s, --signal <name>', help: 'default KILL' }],
  example: 'enclave-cc kill -s HUP db',
  run: async (context, input) => {
    const signal = signalNumber(input.text('signal') ?? 'KILL')
    return await each(context, input, async (id, store) => {
      const { state, name } = store.read(id)
      const request = { op: 'kill', signal } as const
      const answer =
        state === 'running'
          ? await askControl(store.socket(id), request, context.signal)
          : undefined
      if (answer === undefined) {
        throw new CodedError('CONTAINER_NOT_RUNNING', `${name} is not running`)
      }
    })
  },
}

/** `wait`: until containers end. */
export const wait: Command = {
  path: ['wait'],
  summary: 'Wait until containers end, print their exit codes',
  operands: '<id...>',
  example: 'enclave-cc wait db',
  run: async (context, input) => {
    const store = new ContainerStore(context.places)
    // all at once: one with --rm may be gone before the one named first has ended
    const ids = input.operands.map((word) => store.find(word).id)
    const codes = await Promise.all(
      ids.map(async (id) => {
        const code = await askSupervisor(store, id, { op: 'wait' }, context.signal)
        return code ?? store.read(id).exitCode ?? 0
      }),
    )
    return { document: codes, text: codes.join('\n') }
  },
}

/** `rm`: forget containers. */
export const rm: Command = {
  path: ['rm'],
  summary: 'Remove containers',
  operands: '<id...>',
  options: [{ flags: '-f, --force', help: 'stop them first' }],
  example: 'enclave-cc rm db',
  run: async (context, input) => {
    const force = input.flag('force')
    try {
      return await each(context, input, async (id, store) => {
        await endFirst(store, id, force, context.signal)
        await clearCgroup(`${CGROUP_PARENT}/${id}`)
        store.remove(id)
      })
    } finally {
      // spares of a supervisor that was killed would end a moment later
      await endUnwanted(context)
      new ContainerStore(context.places).sweep()
      sweepBundles(context.places.state)
    }
  },
}

async function endUnwanted({ places, pool }: CommandContext): Promise<void> {
  if (pool.linger > 0) return
  const unwanted = PoolFolder.all(places.state).filter((folder) => !folder.hasLife())
  await Promise.all(unwanted.map(endSpares))
}

async function endFirst(
  store: ContainerStore,
  id: string,
  force: boolean,
  signal: AbortSignal,
): Promise<void> {
  try {
    const { state, name } = store.read(id)
    if (state === 'exited') return
    if (!force) throw new CodedError('CONTAINER_RUNNING', `${name} is ${state}`)
  } catch (error) {
    // who uses force wants it gone, whatever its record says; its supervisor may live
    if (!force || (error as { code?: unknown }).code !== 'CONTAINER_RECORD_DAMAGED') throw error
    await askControl(store.socket(id), { op: 'stop', timeout: 0 }, signal)
    return
  }
  await askSupervisor(store, id, { op: 'stop', timeout: 0 }, signal)
}

/**
 * Asks the supervisor of a container. Undefined where it has ended, or was removed. One that is about to
 * serve, or about to end, has a moment to do so.
 */
async function askSupervisor(
  store: ContainerStore,
  id: string,
  request: ControlRequest,
  signal: AbortSignal,
): Promise<number | undefined> {
  for (let i = 0; i < TRIES; i++) {
    if (!isAlive(store, id)) return undefined
    const answer = await askControl(store.socket(id), request, signal)
    if (answer !== undefined) return answer
    await delay(PAUSE_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
  throw new CodedError('CONTAINER_NOT_RUNNING', 'the supervisor of the container does not answer')
}

function isAlive(store: ContainerStore, id: string): boolean {
  try {
    return store.read(id).state !== 'exited'
  } catch (error) {
    if ((error as { code?: unknown }).code === 'CONTAINER_NOT_FOUND') return false
    throw error
  }
}

// One failure does not keep the others from being done; the first is reported.
async function each(
  context: CommandContext,
  input: CommandInput,
  act: (id: string, store: ContainerStore) => Promise<void>,
): Promise<Outcome> {
  const store = new ContainerStore(context.places)
  const done: string[] = []
  let failure: unknown
  for (const word of input.operands) {
    try {
      await act(store.resolve(word), store)
      done.push(word)
    } catch (error) {
      context.signal.throwIfAborted()
      failure ??= error
    }
  }
  if (failure !== undefined) {
    if (done.length > 0) context.note(`done: ${done.join(' ')}`)
    throw failure
  }
  return { document: done, text: done.join('\n') }
}
