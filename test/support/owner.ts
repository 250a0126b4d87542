import { readFileSync, writeFileSync } from 'node:fs'
import { buildBusyboxImage } from './busybox-image.ts'
import type { World } from './world.ts'

/** What an owner does with an image before it can run. */
export interface PublishOptions {
  /** Repository and tag below the world's registry, e.g. `acme/app:1`. */
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly files?: Readonly<Record<string, string | Uint8Array>>
  readonly architecture?: string
  /** Default `kbs:///acme/image-kek/test`; null leaves the image plain. */
  readonly encryptionKey?: string | null
  /** Default true. */
  readonly sign?: boolean
  /** Changes the OCI layout before it is encrypted and pushed. */
  readonly edit?: (layout: string) => Promise<void>
}

/** Makes the owner's signing key and sets the signature policy for everything below `acme`. */
export async function setUpOwner(world: World): Promise<void> {
  await world.ok(['keygen', 'signing', '--out', world.path('owner')])
  const signed = {
    type: 'sigstoreSigned',
    keyData: readFileSync(world.path('owner.pub')).toString('base64'),
    signedIdentity: { type: 'matchRepository' },
  }
  const policy = {
    default: [{ type: 'reject' }],
    transports: { docker: { [`${world.registry}/acme`]: [signed] } },
  }
  writeFileSync(world.path('policy.json'), JSON.stringify(policy))
  const uri = 'kbs:///acme/security-policy/default'
  await world.ok(['kbs', 'resource', 'set', uri, world.path('policy.json')])
}

/** Builds, encrypts, pushes and signs an image of busybox; returns its reference. */
export async function publish(world: World, options: PublishOptions): Promise<string> {
  const folder = options.name.replace(/[^a-z0-9]/g, '-')
  const plain = world.path(`${folder}-plain`)
  buildBusyboxImage({
    work: world.path(`${folder}-work`),
    out: plain,
    config: options.config,
    ...(options.files === undefined ? {} : { files: options.files }),
    ...(options.architecture === undefined ? {} : { architecture: options.architecture }),
  })
  await options.edit?.(plain)
  const reference = `${world.registry}/${options.name}`
  const key =
    options.encryptionKey === undefined ? 'kbs:///acme/image-kek/test' : options.encryptionKey
  if (key === null) {
    await world.ok(['image', 'copy', `oci:${plain}:plain`, `docker://${reference}`])
  } else {
    const to = `docker://${reference}`
    await world.ok(['image', 'encrypt', `oci:${plain}:plain`, to, '--encryption-key', key])
  }
  if (options.sign !== false) {
    await world.ok(['image', 'sign', `docker://${reference}`, '--key', world.path('owner.key')])
  }
  return reference
}

/** Publishes an image of busybox, encrypted and signed, whose program is this shell line; `edit` may change its layout. */
export async function publishShell(
  world: World,
  name: string,
  line: string,
  files: Readonly<Record<string, string | Uint8Array>> = {},
  edit?: (layout: string) => Promise<void>,
): Promise<string> {
  const config = { Entrypoint: ['sh', '-c', line] }
  const more = edit === undefined ? {} : { edit }
  return await publish(world, { name: `acme/${name}:1`, config, files, ...more })
}
