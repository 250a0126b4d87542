import { publish, setUpOwner } from '../../test/support/owner.ts'
import { type CliOptions, World } from '../../test/support/world.ts'

/** A node, a registry and a broker with an owner, ready to publish images. */
export async function openWorld(name: string): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(new World(`bench-${name}`))
  await world.startRegistry()
  await world.startBroker()
  await world.prepare()
  await setUpOwner(world)
  stack.move()
  return world
}

/** Publishes an image of busybox, encrypted and signed, whose program is this shell line; `edit` may change its layout. */
export async function publishShell(
  world: World,
  name: string,
  line: string,
  files: Readonly<Record<string, Uint8Array>> = {},
  edit?: (layout: string) => Promise<void>,
): Promise<string> {
  const config = { Entrypoint: ['sh', '-c', line] }
  const more = edit === undefined ? {} : { edit }
  return await publish(world, { name: `acme/${name}:1`, config, files, ...more })
}

/** Starts a container in the background; disposing of the result ends and removes it. */
export async function background(
  world: World,
  image: string,
  options: CliOptions = {},
): Promise<AsyncDisposable & { readonly id: string }> {
  const { stdout } = await world.ok(['run', '-d', image], options)
  const id = stdout.trim()
  return {
    id,
    async [Symbol.asyncDispose]() {
      await world.ok(['rm', '-f', id], options)
    },
  }
}
