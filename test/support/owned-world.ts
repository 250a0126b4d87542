import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach } from 'node:test'
import { type Leavings, leavings, leftAfter } from './leavings.ts'
import { setUpOwner } from './owner.ts'
import { World } from './world.ts'

/** Folders of a node in which a test must leave nothing, beside what `leavings` always looks at. */
const NODE_FOLDERS = (world: World): readonly string[] => [
  world.state,
  join(world.root, 'containers'),
]

/**
 * Gives the tests of a file one world: a node, a registry and a broker whose owner has let images of namespace
 * `acme` in. `setUp` gets it before the first test and makes what may stay (folders and locks: run a container
 * once); after each test there must be nothing else.
 */
export function ownedWorld(
  name: string,
  setUp: (world: World) => Promise<void>,
  folders: (world: World) => readonly string[] = NODE_FOLDERS,
): void {
  let world: World
  let clean: Leavings
  before(async () => {
    world = new World(name)
    await world.startRegistry()
    await world.startBroker()
    await world.prepare()
    await setUpOwner(world)
    await setUp(world)
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    clean = leavings(folders(world))
  })
  afterEach(async () => {
    assert.deepEqual(await leftAfter(clean, folders(world)), [])
  })
}
