// From an encrypted image in a registry to a root filesystem that a program can be started in. Ours is the
// command on a node with nothing cached, less the start of its enclaves: attestation, policies, signature,
// keys, layers, mounts, and the start of the container too. The peer is skopeo, which decrypts the very same
// image with a key in a file and checks no signature, then umoci, which leaves the tree in plaintext on disk.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { makeRoot, unpackPackages } from '../../test/support/debian.ts'
import { writeOciImage } from '../../test/support/oci-image.ts'
import type { World } from '../../test/support/world.ts'
import type { Bench, BenchOptions } from './bench.ts'
import { type Row, type RowFrame, row } from './document.ts'
import { peak } from './memory.ts'
import { timeStart } from './start.ts'
import { openWorld } from './world.ts'

/** Times the peer, and MiB of the agent at most (design, section 10). */
const GOAL = { faster: 2, memory: 200 }
const LAUNCH = 'launch the enclaves'
const LAYERS = 'fetch, verify and seal layers'

/** One layer each, base first. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  base: [
    ...['base-files', 'libc6', 'libgcc-s1', 'libstdc++6', 'zlib1g', 'coreutils', 'libselinux1'],
    ...['libpcre2-8-0', 'libattr1', 'libacl1', 'libgmp10', 'libssl3', 'dash', 'perl-modules-5.36'],
  ],
  python: [
    ...['python3.11', 'python3.11-minimal', 'libpython3.11-minimal', 'libpython3.11-stdlib'],
    ...['libsqlite3-0', 'libffi8', 'libbz2-1.0', 'liblzma5', 'libexpat1', 'media-types', 'git'],
  ],
  redis: [
    ...['redis-server', 'redis-tools', 'libsystemd0', 'libcap2', 'libgcrypt20', 'libgpg-error0'],
    ...['libzstd1', 'liblz4-1', 'libjemalloc2', 'liblzf1', 'libhiredis0.14', 'libatomic1'],
  ],
  locales: ['locales-all'],
}

export const bench: Bench = { peers: ['skopeo', 'umoci', 'docker-registry'], run }

/** Seconds, and MiB. */
interface Pull {
  readonly whole: number
  readonly launched: number
  readonly layers: number
  readonly agent: number
}

async function run({ runs, note, signal }: BenchOptions): Promise<readonly Row[]> {
  await using world = await openWorld('pull')
  note('build, encrypt, push and sign the image')
  const { reference, key, unpacked } = await publishPackages(world)
  const samples = { ours: [] as Pull[], peer: [] as { skopeo: number; umoci: number }[] }
  for (let i = 0; i < runs; i++) {
    signal.throwIfAborted()
    note(`run ${i + 1} of ${runs}`)
    execFileSync('sync')
    samples.ours.push(await ours(world, reference))
    execFileSync('sync')
    samples.peer.push(peer(world, reference, key))
  }
  const of = <K extends keyof Pull>(name: K): number[] => samples.ours.map((pull) => pull[name])
  const theirs = {
    name: 'skopeo and umoci',
    samples: samples.peer.map(({ skopeo, umoci }) => skopeo + umoci),
  }
  const frame = (name: string, goal: number | null, text?: string): RowFrame => ({
    ...{ name, unit: 's', better: 'lower', goal },
    ...(text === undefined ? {} : { note: text }),
  })
  const size = `${Object.keys(PACKAGES).length} layers, ${unpacked} MiB unpacked, gzip, nothing cached`
  return [
    row(frame('pull to a started container', GOAL.faster, size), of('launched'), theirs),
    row(frame('pull with the start of the enclaves', null), of('whole'), theirs),
    row(frame('layers alone: fetch, verify, seal', null), of('layers'), theirs),
    ...(['skopeo', 'umoci'] as const).map((name) =>
      row(frame(`pull, against ${name} alone`, null), of('launched'), {
        name,
        samples: samples.peer.map((times) => times[name]),
      }),
    ),
    row(
      { name: 'agent, peak', unit: 'MiB', better: 'lower', goal: GOAL.memory, note: 'VmHWM' },
      of('agent'),
    ),
  ]
}

async function publishPackages(
  world: World,
): Promise<{ reference: string; key: string; unpacked: number }> {
  const folders = Object.entries(PACKAGES).map(([name, packages]) => {
    const folder = world.path('tree', name)
    mkdirSync(folder, { recursive: true })
    if (name === 'base') makeRoot(folder)
    unpackPackages(packages, folder)
    return folder
  })
  const sizes = execFileSync('du', ['-sm', world.path('tree')], { encoding: 'utf8' })
  const config = { Cmd: ['/bin/sleep', 'infinity'], Env: ['PATH=/usr/bin:/bin'] }
  writeOciImage(world.path('plain'), 'plain', { layers: folders, config })
  await world.ok(['keygen', 'encryption', '--type', 'rsa', '--out', world.path('rsa')])
  const reference = `${world.registry}/acme/pull:1`
  await world.ok([
    ...['image', 'encrypt', `oci:${world.path('plain')}:plain`, `docker://${reference}`],
    ...['--encryption-key', 'kbs:///acme/image-kek/test'],
    ...['--encryption-key', `jwe:${world.path('rsa.pub.pem')}`],
  ])
  await world.ok(['image', 'sign', `docker://${reference}`, '--key', world.path('owner.key')])
  rmSync(world.path('tree'), { recursive: true })
  return { reference, key: world.path('rsa.pem'), unpacked: Number.parseInt(sizes, 10) }
}

async function ours(world: World, reference: string): Promise<Pull> {
  await world.ok(['cache', 'gc', '--max-size', '0'])
  const started = await timeStart(world.start(['run', '-d', reference]))
  const step = (name: string): number => {
    const time = started.steps.get(name)
    if (time === undefined) throw new Error(`the command reported no step "${name}"`)
    return time / 1000
  }
  const id = started.stdout.trim()
  try {
    const file = `${world.root}/containers/${id}/state.json`
    const { agentPid } = JSON.parse(readFileSync(file, 'utf8')) as { agentPid: number }
    const whole = started.whole / 1000
    return { whole, launched: whole - step(LAUNCH), layers: step(LAYERS), agent: peak(agentPid) }
  } finally {
    await world.ok(['rm', '-f', id])
  }
}

/** Seconds of both programs, one after the other as their users run them. */
function peer(world: World, reference: string, key: string): { skopeo: number; umoci: number } {
  const [image, bundle] = [world.path('peer-image'), world.path('peer-bundle')]
  try {
    const skopeo = seconds('skopeo', [
      ...['copy', '--quiet', '--insecure-policy', '--src-tls-verify=false'],
      ...['--decryption-key', key, `docker://${reference}`, `oci:${image}:app`],
    ])
    const umoci = seconds('umoci', ['unpack', '--image', `${image}:app`, bundle])
    return { skopeo, umoci }
  } finally {
    for (const folder of [image, bundle]) rmSync(folder, { recursive: true, force: true })
  }
}

function seconds(program: string, args: readonly string[]): number {
  const begin = performance.now()
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  return (performance.now() - begin) / 1000
}
