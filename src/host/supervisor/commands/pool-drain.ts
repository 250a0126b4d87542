import type { Command } from '#lib/command'
import { CodedError } from '#lib/errors'
import { sweepBundles } from '../../launcher/bundle-mount.ts'
import { endSpares } from '../pool/end-spares.ts'
import { PoolFolder } from '../pool/pool-folder.ts'
import { ContainerStore } from '../store.ts'

/** `pool drain`: ends what waits; containers are not touched. */
export const poolDrain: Command = {
  path: ['pool', 'drain'],
  summary: 'End the spares of this node: enclaves that wait for a container',
  example: 'enclave-cc pool drain',
  run: async (context) => {
    if (process.getuid?.() !== 0) throw new CodedError('ROOT_REQUIRED', 'pool drain needs root')
    const folders = PoolFolder.all(context.places.state)
    const ended = (await Promise.all(folders.map(endSpares))).flat()
    new ContainerStore(context.places).sweep()
    sweepBundles(context.places.state)
    return { document: { ended }, text: ended.join('\n') }
  },
}
