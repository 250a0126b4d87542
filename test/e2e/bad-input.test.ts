import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { ownedWorld } from '../support/owned-world.ts'
import { publish } from '../support/owner.ts'
import { refused } from '../support/refused.ts'
import { type CliResult, freePort, type World } from '../support/world.ts'

const CONFIG = { Entrypoint: ['cat'], Cmd: ['/etc/greeting'] }
const KEK = 'kbs:///acme/image-kek/test'

const TOP = dirname(dirname(import.meta.dirname))
let world: World
let app: string

ownedWorld(
  'badinput',
  async (made) => {
    world = made
    const files = { '/etc/greeting': 'hello\n' }
    app = await publish(world, { name: 'acme/app:1', config: CONFIG, files })
    // makes the folders and logs that stay
    await world.ok(['run', '--rm', app])
  },
  ({ state, root }) => [state, root],
)

/**
 * The program inside a mount namespace of its own, after `sh` commands that take something away; with
 * `user`, as that user; with `top`, from that place instead of the checkout; with `tracer`, started by it.
 */
function inside(
  setUp: string,
  args: readonly string[],
  options: {
    user?: number
    env?: Record<string, string>
    top?: string
    tracer?: readonly string[]
  } = {},
): CliResult {
  const program = ['--disable-warning=ExperimentalWarning', join(world.dist, 'enclave-cc.cjs')]
  const drop =
    options.user === undefined
      ? []
      : ['setpriv', `--reuid=${options.user}`, `--regid=${options.user}`, '--clear-groups']
  const { top = TOP, tracer = [] } = options
  const command = [...drop, ...tracer, process.execPath, ...program, ...args].map((word) =>
    word.startsWith(`${TOP}/`) ? top + word.slice(TOP.length) : word,
  )
  const script = `set -e; ${setUp}; exec "$@"`
  const ran = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...command],
    { encoding: 'utf8', cwd: '/', env: { ...world.env, ...options.env }, timeout: 120_000 },
  )
  const { stdout, stderr } = ran
  return { code: ran.status ?? -1, stdout, stderr, json: () => JSON.parse(stdout) }
}

test('the way in which things are taken away takes nothing else away', () => {
  const ran = inside('true', ['run', '--rm', app])
  assert.equal(ran.stdout, 'hello\n', ran.stderr)
})

test('without root', () => {
  // the checkout may lie where others cannot go, so it is shown at a place where they can
  chmodSync(world.dir, 0o755)
  const seen = world.path('seen')
  mkdirSync(seen)
  const show = `mount --bind ${TOP} ${seen}`
  const told = refused(inside(show, ['run', app], { user: 65_534, top: seen }), 'ROOT_REQUIRED')
  assert.match(told.next, /root/)
  refused(inside(show, ['attest'], { user: 65_534, top: seen }), 'ROOT_REQUIRED', 1)
})

test('without /dev/fuse', () => {
  // a file that no driver answers to stands where the device was
  const hide = `printf '' >${world.path('nothing')}; mount --bind ${world.path('nothing')} /dev/fuse`
  const told = refused(inside(hide, ['run', '--rm', app]), 'FUSE_MISSING')
  assert.match(told.sentence, /\/dev\/fuse/)
  assert.match(told.next, /doctor/)
  const doctor = inside(hide, ['doctor', '--json'])
  assert.equal(doctor.code, 1)
  const { probes } = doctor.json<{ probes: { name: string; ok: boolean; next?: string }[] }>()
  const failed = probes.filter(({ ok }) => !ok)
  assert.ok(
    failed.some(({ name, next }) => /fuse/.test(name) && next !== undefined),
    JSON.stringify(failed),
  )
})

interface Probed {
  readonly ok: boolean
  readonly probes: readonly {
    readonly name: string
    readonly ok: boolean
    readonly required: boolean
    readonly found: string
    readonly needed: string
    readonly next?: string
  }[]
}

/** What doctor finds there: names of the probes that failed, and what it says about one. */
function examined(setUp: string): { failed: string[]; found: (name: string) => string } {
  const doctor = inside(setUp, ['doctor', '--json'])
  const { ok, probes } = doctor.json<Probed>()
  assert.equal(doctor.code, ok ? 0 : 1)
  for (const probe of probes) assert.equal(probe.next === undefined, probe.ok, probe.name)
  return {
    failed: probes.filter((probe) => !probe.ok && probe.required).map(({ name }) => name),
    found(name) {
      const probe = probes.find((one) => one.name === name)
      return `${probe?.ok === true ? 'ok' : 'no'}: ${probe?.found}; ${probe?.next ?? ''}`
    },
  }
}

/** The node's data on a tmpfs, from which EROFS does not mount: as on Linux before 6.12. */
const onTmpfs = (): string =>
  `cp -r ${world.root} ${world.path('spare')}; mount -t tmpfs none ${world.root}; cp -r ${world.path('spare')}/. ${world.root}; rm -r ${world.path('spare')}`

test('doctor finds nothing missing here, and looks at each part', () => {
  const { failed, found } = examined('true')
  assert.deepEqual(failed, [])
  for (const name of ['fuse', 'erofs', 'loop', 'scratch', 'overlayfs', 'runc', 'cgroups', 'node']) {
    assert.match(found(name), /^ok: \S/, name)
  }
  for (const name of ['erofs-file', 'noswap', 'swap', 'libatomic1']) {
    assert.match(found(name), /^(ok|no): \S/, name)
  }
})

test('where EROFS does not mount from a file, loop devices do, and are gone afterwards', () => {
  const { failed, found } = examined(onTmpfs())
  assert.deepEqual(failed, [])
  assert.match(found('erofs'), /^ok: through a loop device/)
  assert.match(found('erofs-file'), /^no: not below .*nothing to do while loop works/)
  const ran = inside(onTmpfs(), ['run', '--rm', app])
  assert.equal(ran.stdout, 'hello\n', ran.stderr)
})

test('where EROFS needs a loop device and there is none', () => {
  const hide = `printf '' >${world.path('nothing')}; mount --bind ${world.path('nothing')} /dev/loop-control; ${onTmpfs()}`
  const told = refused(inside(hide, ['run', '--rm', app]), 'LOOP_MISSING')
  assert.match(told.next, /modprobe loop.*doctor/)
  const { failed, found } = examined(hide)
  assert.deepEqual(failed, ['erofs'])
  assert.match(found('loop'), /^no: .*modprobe loop/)
})

test('a kernel without EROFS', () => {
  // no kernel here lacks it, so its answer to this one mount is exchanged on the way
  const { image } = JSON.parse(
    readFileSync(join(world.root, 'bundles/default/agent.json'), 'utf8'),
  ).manifest
  const target = join(world.state, 'bundles', image.sha256.slice(0, 32), 'root')
  const inject = ['-e', 'trace=mount', '-e', 'inject=mount:error=ENODEV', '-P', target]
  const tracer = ['strace', '-f', '-qq', '-o', '/dev/null', ...inject]
  const told = refused(inside('true', ['run', '--rm', app], { tracer }), 'EROFS_MISSING')
  assert.match(told.sentence, /no such filesystem/)
  assert.match(told.next, /modprobe erofs.*doctor/)
})

test('inside an unprivileged container, whose root is not the root of the machine', () => {
  const tracer = ['unshare', '--user', '--map-root-user', '--mount']
  const told = refused(inside('true', ['run', '--rm', app], { tracer }), 'EROFS_MISSING')
  assert.match(told.sentence, /not permitted here/)
  const doctor = inside('true', ['doctor'], { tracer })
  assert.equal(doctor.code, 1)
  assert.match(doctor.stdout, /^FAIL {2}erofs .*not permitted here.*\n.*unprivileged container/m)
})

test('without cgroups, and without the library of the pinned node', () => {
  const { failed, found } = examined('mount -t tmpfs none /sys/fs/cgroup')
  assert.deepEqual(failed, ['cgroups'])
  assert.match(found('cgroups'), /^no: without memory, .*mount the cgroup filesystem/)
  const hidden = inside('mount -t tmpfs none /sys/fs/cgroup', ['run', '--rm', app])
  assert.match(refused(hidden, 'CGROUPS_MISSING').next, /mount the cgroup filesystem.*doctor/)
  const library = spawnSync('sh', ['-c', 'ls /lib/*-linux-gnu/libatomic.so.1'], {
    encoding: 'utf8',
  }).stdout.trim()
  const hide = `printf '' >${world.path('nothing')}; mount --bind ${world.path('nothing')} ${library}; exec ${TOP}/bin/enclave-cc doctor`
  const ran = spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', hide], {
    encoding: 'utf8',
    env: world.env,
  })
  const told = refused(
    { ...ran, code: ran.status ?? -1, json: () => undefined as never },
    'PACKAGE_MISSING',
    1,
  )
  assert.match(told.next, /apt-get install libatomic1/)
})

test('without a package that the bundle is made of', () => {
  const hide = 'mount -t tmpfs none /usr/sbin'
  const out = world.path('no-runc')
  const told = refused(inside(hide, ['bundle', 'build', '--out', out]), 'BUNDLE_INPUT_MISSING', 1)
  assert.match(told.sentence, /runc/)
  assert.match(told.next, /apt-get install -y runc/)
  assert.deepEqual(readdirSync(out), [], 'nothing half made')
  const doctor = inside(hide, ['doctor'])
  assert.equal(doctor.code, 1)
  assert.match(doctor.stdout, /^FAIL +runc +missing/m)
  assert.match(doctor.stdout, /next: apt-get install/)
})

test('without a bundle, and with one that was changed', async () => {
  const none = world.path('none')
  mkdirSync(none)
  refused(await world.cli(['run', '--bundle', none, app]), 'BUNDLE_MISSING')
  const changed = world.path('changed')
  mkdirSync(changed)
  for (const name of ['agent.json', 'init.json', 'bundle.erofs']) {
    const bytes = readFileSync(join(world.root, 'bundles/default', name))
    if (name === 'bundle.erofs') bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    writeFileSync(join(changed, name), bytes)
  }
  refused(await world.cli(['run', '--bundle', changed, app]), 'BUNDLE_IMAGE_MISMATCH')
})

test('without init-data', async () => {
  const args = ['run', '--init-data', world.path('not-there.toml'), app]
  const told = refused(await world.cli(args), 'INIT_DATA_MISSING')
  assert.match(told.next, /kbs init-data/)
})

test('a port that is taken', async () => {
  const port = await freePort()
  const server = createServer().listen(port, '127.0.0.1')
  const data = world.path('second-kbs')
  await world.ok(['kbs', 'init', '--data-dir', data])
  try {
    const args = ['kbs', 'serve', '--data-dir', data, '--listen', `127.0.0.1:${port}`]
    const told = refused(await world.cli(args), 'KBS_PORT_TAKEN', 1)
    assert.match(told.sentence, new RegExp(`127\\.0\\.0\\.1:${port}`))
    assert.match(told.next, /--listen/)
  } finally {
    server.close()
  }
})

test('a registry that is down', async () => {
  const port = await freePort()
  const told = refused(
    await world.cli(['run', `127.0.0.1:${port}/acme/app:1`]),
    'NETWORK_UNREACHABLE',
  )
  assert.match(told.sentence, new RegExp(`127\\.0\\.0\\.1:${port}`))
  const copy = ['image', 'inspect', `docker://127.0.0.1:${port}/acme/app:1`]
  refused(await world.cli(copy), 'NETWORK_UNREACHABLE', 1)
  refused(await world.cli(['run', `${world.registry}/acme/none:1`]), 'REGISTRY_NOT_FOUND')
})

test('a broker that is down', async () => {
  const port = await freePort()
  const text = readFileSync(world.env.ENCLAVE_CC_INIT_DATA ?? '', 'utf8')
  const file = world.path('down.toml')
  writeFileSync(file, text.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port}`))
  refused(await world.cli(['run', '--init-data', file, app]), 'KBS_UNREACHABLE')
  const env = { ENCLAVE_CC_KBS_URL: `https://127.0.0.1:${port}` }
  const told = refused(await world.cli(['kbs', 'status'], { env }), 'KBS_UNREACHABLE', 1)
  assert.match(told.sentence, new RegExp(`127\\.0\\.0\\.1:${port}`))
})

test('a key that does not open the image', async () => {
  const folder = `oci:${world.path('for-recipient')}:1`
  const plain = `oci:${world.path('acme-app-1-plain')}:plain`
  for (const name of ['mine', 'other']) {
    await world.ok(['keygen', 'encryption', '--out', world.path(name)])
  }
  const recipient = `jwe:${world.path('mine.pub.pem')}`
  await world.ok(['image', 'encrypt', plain, folder, '--encryption-key', recipient])
  const opened = `oci:${world.path('opened')}:1`
  const wrong = ['image', 'decrypt', folder, opened, '--decryption-key', world.path('other.pem')]
  refused(await world.cli(wrong), 'LAYER_KEY_UNAVAILABLE', 1)
  assert.equal(existsSync(world.path('opened', 'index.json')), false, 'nothing was published')
  // the same in the broker: the key that the image names was exchanged
  await world.ok(['kbs', 'resource', 'get', KEK, '-o', world.path('kek')])
  writeFileSync(world.path('wrong-kek'), Buffer.alloc(32, 3))
  await world.ok(['kbs', 'resource', 'set', KEK, world.path('wrong-kek')])
  try {
    refused(await world.cli(['run', '--rm', app]), 'IMAGE_REJECTED')
  } finally {
    await world.ok(['kbs', 'resource', 'set', KEK, world.path('kek')])
  }
  assert.equal((await world.cli(['run', '--rm', app])).code, 0)
})

test('a state directory in which others can put something', async () => {
  const state = world.path('unsafe-state')
  const at = async (...args: string[]): Promise<CliResult> => world.cli(['--state', state, ...args])
  mkdirSync(state, { mode: 0o700 })
  assert.equal((await at('run', '--rm', app)).code, 0)
  const names = readdirSync(state, { recursive: true })
  const unsafe: readonly (readonly [RegExp, () => void])[] = [
    [/others may write to it \(mode 777\)/, () => chmodSync(state, 0o777)],
    [/it belongs to user 65534/, () => chownSync(state, 65_534, 65_534)],
  ]
  for (const [found, make] of unsafe) {
    make()
    assert.match(refused(await at('run', '--rm', app), 'STATE_UNSAFE').sentence, found)
    refused(await at('attest'), 'STATE_UNSAFE', 1)
    for (const words of ['ps', 'status', 'pool drain', 'rm -f nothing', 'stop nothing']) {
      refused(await at(...words.split(' ')), 'STATE_UNSAFE', 1)
    }
    assert.deepEqual(readdirSync(state, { recursive: true }), names, 'nothing was put there')
    chmodSync(state, 0o700)
  }
  rmSync(state, { recursive: true })
})

test('a disk that is full', () => {
  const tiny = (size: string): string =>
    `cp -r ${world.root} ${world.path('spare')}; mount -t tmpfs -o size=${size} none ${world.root}; mkdir -p ${world.root}/bundles; cp -r ${world.path('spare')}/platform ${world.root}/; rm -r ${world.path('spare')}`
  const bundle = world.path('bundle')
  spawnSync('cp', ['-r', join(world.root, 'bundles/default'), bundle])
  // no room for the node's private copy of the bundle; then room for that, but not for the layers
  const copies = refused(inside(tiny('20m'), ['run', '--bundle', bundle, app]), 'DISK_FULL')
  assert.match(copies.next, /space/)
  const { size } = spawnSizes(bundle)
  const room = `${Math.ceil(size / 1024) + 1024}k`
  refused(inside(tiny(room), ['run', '--bundle', bundle, app]), 'DISK_FULL')
  const out = world.path('full')
  mkdirSync(out)
  const full = `mount -t tmpfs -o size=1m none ${out}`
  refused(inside(full, ['bundle', 'build', '--out', out]), 'DISK_FULL', 1)
  const plain = `oci:${world.path('acme-app-1-plain')}:plain`
  const encrypt = ['image', 'encrypt', plain, `oci:${out}:1`, '--encryption-key', KEK]
  refused(inside(`mount -t tmpfs -o size=256k none ${out}`, encrypt), 'DISK_FULL', 1)
})

function spawnSizes(bundle: string): { readonly size: number } {
  return { size: readFileSync(join(bundle, 'bundle.erofs')).length }
}

test('an image that is not encrypted although the owner wants that', async (t) => {
  const normal = (await world.ok(['kbs', 'policy', 'get', 'launch'])).stdout
  const file = world.path('launch.cedar')
  const set = async (text: string): Promise<void> => {
    writeFileSync(file, text)
    await world.ok(['kbs', 'policy', 'set', 'launch', file])
  }
  t.after(() => set(normal))
  const rule =
    'forbid (principal, action == Action::"run", resource) unless { principal.encrypted };'
  await set(`${normal}\n@id("only-encrypted") ${rule}`)
  const plain = await publish(world, { name: 'acme/plain:1', config: CONFIG, encryptionKey: null })
  const told = refused(await world.cli(['run', '--rm', plain]), 'LAUNCH_REFUSED')
  assert.match(told.sentence, /only-encrypted/)
  // the owner's own tool says so where an encrypted image is expected
  const decrypt = ['image', 'decrypt', `docker://${plain}`, `oci:${world.path('d')}:1`]
  refused(await world.cli([...decrypt, '--decryption-key', KEK]), 'IMAGE_NOT_ENCRYPTED', 1)
})

test('an image for another CPU', async () => {
  const architecture = process.arch === 'x64' ? 'arm64' : 'amd64'
  const image = await publish(world, { name: 'acme/cpu:1', config: CONFIG, architecture })
  const told = refused(await world.cli(['run', '--rm', image]), 'IMAGE_PLATFORM_MISSING')
  assert.match(told.sentence, new RegExp(architecture))
})

test('a program that is not in the image, and one that cannot be executed: 127 and 126, as docker', async () => {
  const files = { '/etc/data': 'no program\n' }
  const missing = await publish(world, { name: 'acme/no:1', config: { Cmd: ['/none'] } })
  refused(await world.cli(['run', '--rm', missing]), 'CONTAINER_COMMAND_NOT_FOUND', 127)
  const config = { Cmd: ['/etc/data'] }
  const data = await publish(world, { name: 'acme/data:1', config, files })
  refused(await world.cli(['run', '--rm', data]), 'CONTAINER_COMMAND_NOT_EXECUTABLE', 126)
  // both images were accepted: their layers stay for the next start, until nobody wants them
  await world.ok(['cache', 'gc', '--max-size', '0'])
})

test('a command line that is not understood', async () => {
  const told = refused(await world.cli(['run', '--detatch', app]), 'USAGE', 2)
  assert.match(`${told.sentence} ${told.next}`, /--detach/)
  refused(await world.cli(['run', '--rm', 'NOT A NAME']), 'IMAGE_REFERENCE_INVALID', 125)
})
