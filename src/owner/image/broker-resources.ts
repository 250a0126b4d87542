import type { CommandContext, CommandInput } from '#lib/command'
import { isCoded } from '#lib/errors'
import { parseResourceUri } from '#lib/initdata'
import type { AdminClient } from '../kbs/admin-client.ts'
import { openAdmin } from '../kbs/client-places.ts'
import type { ResourceClient, ResourceClientFactory } from './resource-client.ts'

/** The broker's resources through its admin API, connected on first use. */
export function brokerResources(
  context: CommandContext,
  input: CommandInput,
): Disposable & { readonly connect: ResourceClientFactory } {
  let opened: ReturnType<typeof openAdmin> | undefined
  const stack = new DisposableStack()
  return {
    connect: async () => {
      opened ??= openAdmin(context, input).then((admin) => stack.use(admin))
      return resourcesOf((await opened).client)
    },
    [Symbol.dispose]: () => stack.dispose(),
  }
}

function resourcesOf(client: AdminClient): ResourceClient {
  return {
    get: (uri) => client.getResource(parseResourceUri(uri)),
    create: async (uri, bytes) => {
      try {
        await client.setResource(parseResourceUri(uri), bytes, { create: true })
      } catch (error) {
        // Another owner was faster; what is there now is what both use.
        if (!isCoded(error) || error.code !== 'RESOURCE_EXISTS') throw error
      }
    },
  }
}
