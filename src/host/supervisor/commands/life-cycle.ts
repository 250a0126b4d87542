import type { Command, CommandContext, CommandInput, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import { sweepBundles } from '../../launcher/bundle-mount.ts'
import { CGROUP_PARENT, clearCgroup } from '../cgroup.ts'
import { askControl } from '../control.ts'
import type { ContainerRecord } from '../record.ts'
import { ContainerStore } from '../store.ts'
import { signalNumber } from './signals.ts'

/** `stop`: TERM, then KILL. */
export const stop: Command = {
  path: ['stop'],
  summary: 'Stop containers: TERM, then KILL',
  operands: '<id...>',
  options: [{ flags: '-t, --time <seconds>', help: 'seconds between the two' }],
  example: 'enclave-cc stop db',
  run: (context, input) =>
    each(context, input, async (record, store) => {
      if (record.state === 'exited') return
      const text = input.text('time') ?? String(record.stopTimeout)
      if (!/^\d{1,6}$/.test(text)) throw new CodedError('USAGE', `-t ${text}: seconds`)
      const request = { op: 'stop', timeout: Number(text) } as const
      await askControl(store.socket(record.id), request, context.signal)
    }),
}

/** `kill`: one signal. */
export const kill: Command = {
  path: ['kill'],
  summary: 'Send a signal to containers',
  operands: '<id...>',
  options: [{ flags: '-s, --signal <name>', help: 'default KILL' }],
  example: 'enclave-cc kill -s HUP db',
  run: (context, input) => {
    const signal = signalNumber(input.text('signal') ?? 'KILL')
    return each(context, input, async (record, store) => {
      if (record.state !== 'running') {
        throw new CodedError('CONTAINER_NOT_RUNNING', `${record.name} is not running`)
      }
      await askControl(store.socket(record.id), { op: 'kill', signal }, context.signal)
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
    const codes: number[] = []
    for (const word of input.operands) {
      const record = store.find(word)
      codes.push(
        record.state === 'exited'
          ? (record.exitCode ?? 0)
          : await askControl(store.socket(record.id), { op: 'wait' }, context.signal),
      )
    }
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
  run: (context, input) =>
    each(context, input, async (record, store) => {
      if (record.state !== 'exited') {
        if (!input.flag('force')) {
          throw new CodedError('CONTAINER_RUNNING', `${record.name} is ${record.state}`)
        }
        await askControl(store.socket(record.id), { op: 'stop', timeout: 0 }, context.signal)
      }
      await clearCgroup(`${CGROUP_PARENT}/${record.id}`)
      store.remove(record.id)
      sweepBundles(context.places.state)
    }),
}

// One failure does not keep the others from being done; the first is reported.
async function each(
  context: CommandContext,
  input: CommandInput,
  act: (record: ContainerRecord, store: ContainerStore) => Promise<void>,
): Promise<Outcome> {
  const store = new ContainerStore(context.places)
  const done: string[] = []
  let failure: unknown
  for (const word of input.operands) {
    try {
      const record = store.find(word)
      await act(record, store)
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
