import type { World } from './world.ts'

/** Paths of the sealed layers of a container, base first, wherever the node keeps them. */
export async function sealedFiles(world: World, id: string): Promise<readonly string[]> {
  const [container] = (await world.ok(['inspect', id, '--json'])).json<
    { readonly layers: readonly { readonly file: string }[] }[]
  >()
  if (container === undefined || container.layers.length === 0) throw new Error(`${id}: no layers`)
  return container.layers.map(({ file }) => file)
}
