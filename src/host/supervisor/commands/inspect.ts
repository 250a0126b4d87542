import { join } from 'node:path'
import type { Command, CommandContext } from '#lib/command'
import { layerPlace } from '#lib/sealed'
import { layersFolder } from '../../cache/layer-store.ts'
import { ContainerStore } from '../store.ts'
import { psEntry } from './ps.ts'

/** Where a sealed layer lies. */
function fileOf({ places }: CommandContext, id: string, file: string | undefined): object {
  if (file === undefined) return {}
  const spool = join(new ContainerStore(places).folder(id), 'spool')
  return { file: join(layerPlace(file) === 'cache' ? layersFolder(places.root) : spool, file) }
}

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
        mounts: record.mounts,
        layers: record.layers.map((layer) => ({
          ...layer,
          ...fileOf(context, record.id, layer.file),
        })),
        agent: { pid: record.agentPid },
        init: { pid: record.initPid },
      }
    })
    return { document }
  },
}
