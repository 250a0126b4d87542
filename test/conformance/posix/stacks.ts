import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { sealLayer, testFolder } from '../../support/init-harness.ts'
import { Stack } from '../hostile/stack.ts'

/** One behaviour as a stack showed it. */
export interface Seen {
  readonly id: string
  readonly text: string
  readonly got: string
}

const DRIVER = join(import.meta.dirname, 'driver')
const SIZE = 256 * 1024 * 1024
// -B: no folder of compiled files in the source tree
const PYTHON = ['python3', '-B', DRIVER] as const

/**
 * Plays every behaviour on our stack: a sealed layer through FUSE and EROFS, the scratch of init over it,
 * mounted by init's own code.
 */
export async function playOurs(kind: 'tmpfs' | 'disk'): Promise<readonly Seen[]> {
  using folder = testFolder()
  const spool = join(folder.path, 'spool')
  const tree = join(folder.path, 'tree')
  mkdirSync(tree)
  execFileSync('python3', ['-B', DRIVER, '--prepare', tree])
  const layer = await sealLayer(tree, spool, 'layer-0')
  rmSync(tree, { recursive: true })
  await using stack = await Stack.start(join(folder.path, 'mounts'), [])
  const refused = await stack.mount(spool, [layer], { kind, size: SIZE })
  if (refused !== undefined) throw new Error(`mounting: ${refused}`)
  const { ran = '' } = await stack.order({ do: 'run', program: PYTHON, inside: '' })
  await stack.unmount()
  return parse(ran.replace(/^exit 0: /, ''))
}

/** Plays every behaviour on what container engines use: overlay with both layers on ext4. */
export function playPlain(): readonly Seen[] {
  using folder = testFolder()
  // A namespace of its own, so that nothing stays mounted whatever happens.
  const script = `set -e
    cd ${folder.path}
    truncate -s ${SIZE} image
    mkfs.ext4 -q -F -m 0 -b 4096 image
    mkdir disk
    mount -o loop image disk
    cd disk
    mkdir lower upper work merged
    ${PYTHON.join(' ')} --prepare lower
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
    cd /
    ${PYTHON.join(' ')} ${folder.path}/disk/merged`
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', script]
  const ran = spawnSync('unshare', args, { encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 })
  if (ran.status !== 0) throw new Error(`plain overlay: ${ran.stderr}`)
  return parse(ran.stdout)
}

function parse(output: string): readonly Seen[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Seen)
}
