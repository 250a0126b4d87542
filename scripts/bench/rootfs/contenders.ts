import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { HandoverLayer } from '#lib/handover'
import { layerSealer } from '../../../src/enclave/agent/image/layers.ts'
import { launchOf, startInit } from '../../../test/support/init-harness.ts'
import { until } from '../../../test/support/world.ts'
import type { TreeArchive } from './tree.ts'

/** One side of the comparison: the same tree, shown by something. */
export interface Contender extends AsyncDisposable {
  readonly name: 'ours' | 'gocryptfs' | 'ext4' | 'tmpfs'
  /** The root of its tree, writable. Also another mount namespace can be behind it. */
  readonly root: string
}

/** Bytes that a contender may take for what is written. */
const WRITABLE = 3 * 2 ** 30

/**
 * The tree as one sealed layer, made by the agent's own pipeline, and mounted by the real init program for
 * a container that sleeps. What runs in the tree does so by chroot, as with the others.
 */
export async function sealedRoot(folder: string, tree: TreeArchive): Promise<Contender> {
  const spool = join(folder, 'sealed')
  mkdirSync(spool)
  const layers = await seal(spool, tree)
  await using stack = new AsyncDisposableStack()
  const init = stack.use(await startInit(spool))
  await init.prepare(layers, {
    ...launchOf(layers, ['/bin/sleep', 'infinity']),
    scratch: { kind: 'disk', size: WRITABLE },
  })
  await init.client.start({})
  const open = stack.move()
  return {
    name: 'ours',
    root: `/proc/${init.pid}/root${init.base}/r`,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

async function seal(spool: string, tree: TreeArchive): Promise<HandoverLayer[]> {
  const descriptor = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest: tree.digest,
    size: tree.size,
  }
  const layer = { descriptor, diffId: tree.digest, opened: undefined }
  return [
    ...(await layerSealer({ spool })([layer], {
      client: { blob: () => createReadStream(tree.path, { highWaterMark: 2 ** 18 }) },
      initDataDigest: new Uint8Array(32),
      signal: new AbortController().signal,
      onProgress: () => {},
    })),
  ]
}

/** gocryptfs with its defaults: AES-256-GCM in blocks of 4 KiB, names encrypted. */
export async function gocryptfs(folder: string, tree: TreeArchive): Promise<Contender> {
  const [cipher, root] = [join(folder, 'gocryptfs.cipher'), join(folder, 'gocryptfs')]
  for (const path of [cipher, root]) mkdirSync(path)
  const password = ['-q', '-extpass', 'echo bench']
  // The cost of the password is paid once at the mount and is no part of any figure.
  execFileSync('gocryptfs', ['-init', '-scryptn', '10', ...password, cipher])
  const daemon = spawn('gocryptfs', ['-fg', ...password, cipher, root], { stdio: 'ignore' })
  const gone = once(daemon, 'exit')
  const mounted = async (): Promise<boolean> => {
    execFileSync('mountpoint', ['--quiet', root])
    return true
  }
  await until(mounted, 'gocryptfs')
  unpack(tree, root)
  return {
    name: 'gocryptfs',
    root,
    async [Symbol.asyncDispose]() {
      execFileSync('umount', [root])
      await gone
    },
  }
}

/** A folder of the machine's disk, which is what the others' ciphertext lies on. */
export function plain(folder: string, tree: TreeArchive): Contender {
  const root = join(folder, 'plain')
  mkdirSync(root)
  unpack(tree, root)
  return { name: 'ext4', root, async [Symbol.asyncDispose]() {} }
}

/** Memory without anything below it. */
export function tmpfs(folder: string, tree: TreeArchive): Contender {
  const root = join(folder, 'tmpfs')
  mkdirSync(root)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${2 * WRITABLE}`, 'bench', root])
  unpack(tree, root)
  return {
    name: 'tmpfs',
    root,
    async [Symbol.asyncDispose]() {
      execFileSync('umount', [root])
    },
  }
}

function unpack(tree: TreeArchive, root: string): void {
  execFileSync('tar', ['--extract', '--file', tree.path, '--directory', root, '--numeric-owner'])
}
