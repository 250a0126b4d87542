// The supervisor of one container: launches its enclaves, carries messages between them, keeps its
// log and record, and cleans up. Started detached by a command, with descriptor 3 the hold on the
// bundle mount and descriptor 4 the job channel; a spare (docs/pool.md), that has no container yet, has its
// place in the pool as descriptor 5.
import { enterPrivateMounts, keepFromChildren, mountNamespace } from '#platform/process'

// Before anything else: threads that exist when the namespace is made would stay outside of it.
const home = mountNamespace()
enterPrivateMounts()
keepFromChildren(3)
keepFromChildren(4)
const placeFd = process.argv[2] === 'spare' ? 5 : undefined
if (placeFd !== undefined) keepFromChildren(placeFd)

void import('./supervise.ts')
  .then(({ supervise }) => supervise({ holdFd: 3, channelFd: 4, homeNamespace: home, placeFd }))
  // whatever may still be open then must not keep this process
  .then(() => process.exit())
