import type { Command } from '#lib/command'
import { ContainerStore } from '../store.ts'
import { psEntry } from './ps.ts'

/** `inspect`: everything the node knows of containers. */
export const inspect: Command = {
  path: ['inspect'],
  summary: 'Show containers in full',
  operands: '<id...>',
  example: 'enclave-cc inspect db',
  run: async (context, input) => {
    const store = new ContainerStore(context.places)
    const document = input.operands.map((word) => {
      const record = store.find(word)
      return {
        ...psEntry(record),
        ...(record.message === undefined ? {} : { message: record.message }),
        bundle: record.bundle,
        mrEnclave: record.mrEnclave,
        decisionIds: record.decisionIds,
        mounts: [],
        layers: record.layers,
        agent: { pid: record.agentPid },
        init: { pid: record.initPid },
      }
    })
    return { document }
  },
}
