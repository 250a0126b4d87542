import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { World } from './world.ts'

/** Folders of the blobs that a repository of the world's registry holds, one a blob. */
export function registryBlobs(world: World, repository: string): readonly string[] {
  const base = world.path('registry/docker/registry/v2')
  const repositories = join(base, 'repositories', repository)
  const digests = ['_layers/sha256', '_manifests/revisions/sha256'].flatMap((name) => {
    const folder = join(repositories, name)
    return existsSync(folder) ? readdirSync(folder) : []
  })
  if (digests.length === 0) throw new Error(`${repository} has no blobs in the registry`)
  return digests.map((hex) => join(base, 'blobs/sha256', hex.slice(0, 2), hex))
}
