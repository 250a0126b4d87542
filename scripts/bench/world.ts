import { setUpOwner } from '../../test/support/owner.ts'
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
