// The rules for a process in the trusted computing base (docs/tcb-rules.md), tried from outside as the
// operator of a node would, or another user on it. Root of the node reads everything on a simulated
// platform; what is shown here is that nothing short of the simulation's own limit gives way.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { mrEnclave, parseSignedManifest, signedManifestBytes, signManifest } from '#lib/manifest'
import { publish, setUpOwner } from '../support/owner.ts'
import { descendants, podProcesses } from '../support/pod-processes.ts'
import { refused } from '../support/refused.ts'
import { until, World } from '../support/world.ts'

const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups']
/** As root with all rights but the one to look into other processes. */
const WITHOUT_PTRACE = ['--bounding-set=-sys_ptrace', '--inh-caps=-sys_ptrace']
const BUNDLE_FILES = ['bundle.erofs', 'agent.json', 'init.json']

let world: World
let image = ''

interface Pod {
  readonly command: ChildProcess
  readonly supervisor: number
  readonly agent: number
  readonly init: number
  readonly enclaves: readonly (readonly [program: 'agent' | 'init', pid: number])[]
  stop(): Promise<void>
}

before(async () => {
  world = new World('tcb')
  await world.startRegistry()
  await world.startBroker()
  await world.prepare()
  await setUpOwner(world)
  const Entrypoint = ['sh', '-c', 'echo running; while :; do sleep 0.1; done']
  image = await publish(world, { name: 'acme/server:1', config: { Entrypoint } })
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

/** Starts a container and waits until its program runs; `around` starts the command through another one. */
async function start(
  env: Readonly<Record<string, string>> = {},
  around: readonly string[] = [],
  more: readonly number[] = [],
): Promise<Pod> {
  const program = join(world.dist, 'enclave-cc.cjs')
  const line = [...around, process.execPath, '--disable-warning=ExperimentalWarning', program]
  const [first = '', ...rest] = [...line, 'run', '--rm', image]
  const command = spawn(first, rest, {
    env: { ...world.env, ...env },
    cwd: world.dir,
    stdio: ['ignore', 'pipe', 'pipe', ...more],
  })
  let output = ''
  for (const stream of [command.stdout, command.stderr]) {
    stream?.on('data', (chunk) => {
      output += String(chunk)
    })
  }
  const ended = once(command, 'close')
  const stop = async (): Promise<void> => {
    command.kill('SIGKILL')
    await ended
    const ps = await world.cli(['ps', '-a', '-q', '--no-trunc'])
    for (const id of ps.stdout.split('\n').filter(Boolean)) await world.cli(['rm', '-f', id])
  }
  const pid = command.pid ?? 0
  const patience = Date.now() + 60_000
  while (!output.includes('running') && command.exitCode === null && Date.now() < patience) {
    await delay(50)
  }
  const { supervisor, agent, init } = podProcesses(pid)
  if (!output.includes('running') || !supervisor || !agent || !init) {
    await stop()
    throw new Error(`the container did not come up: ${output}`)
  }
  return {
    command,
    supervisor,
    agent,
    init,
    enclaves: [
      ['agent', agent],
      ['init', init],
    ],
    stop,
  }
}

function words(pid: number, file: 'environ' | 'cmdline'): string[] {
  return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0').slice(0, -1)
}

/** Descriptors of a process with what they are. */
function descriptors(pid: number): Map<number, string> {
  const found = new Map<number, string>()
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      found.set(Number(name), readlinkSync(`/proc/${pid}/fd/${name}`))
    } catch {
      // closed meanwhile
    }
  }
  return found
}

function manifestOf(program: 'agent' | 'init') {
  const file = join(world.root, 'bundles/default', `${program}.json`)
  return parseSignedManifest(new Uint8Array(readFileSync(file))).manifest
}

/** Ports on which a process listens, by the inodes of its sockets. */
function listening(pid: number): string[] {
  const sockets = new Set(
    [...descriptors(pid).values()].map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]),
  )
  return ['tcp', 'tcp6']
    .flatMap((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8').split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && sockets.has(inode))
    .map(([, local]) => String(local))
}

test('nothing of the environment reaches an enclave: its own is exactly that of the manifest', async () => {
  const marker = world.path('injected')
  const inject = world.path('inject.cjs')
  const conf = world.path('openssl.cnf')
  writeFileSync(conf, '# empty\n')
  const preload = someLibrary()
  // Each process that obeys says so, with what it is.
  writeFileSync(
    inject,
    `require('node:fs').appendFileSync(${JSON.stringify(marker)}, process.argv[1] + '\\n')`,
  )
  const pod = await start({
    NODE_OPTIONS: `--require ${inject} --inspect=127.0.0.1:0`,
    NODE_EXTRA_CA_CERTS: world.path('kbs/tls/ca.pem'),
    NODE_PATH: world.dir,
    NODE_COMPILE_CACHE: world.path('compile-cache'),
    LD_PRELOAD: preload,
    LD_LIBRARY_PATH: world.dir,
    OPENSSL_CONF: conf,
    SSL_CERT_FILE: world.path('kbs/tls/ca.pem'),
    GLIBC_TUNABLES: 'glibc.malloc.check=3',
  })
  try {
    for (const [program, pid] of pod.enclaves) {
      const { env, entry, args } = manifestOf(program)
      assert.deepEqual(
        words(pid, 'environ').sort(),
        Object.entries(env)
          .map(([name, value]) => `${name}=${value}`)
          .sort(),
      )
      assert.deepEqual(words(pid, 'cmdline'), [entry, ...args])
      assert.ok(args.includes('--disable-sigusr1'))
      const maps = readFileSync(`/proc/${pid}/maps`, 'utf8')
      assert.ok(!maps.includes(basename(preload)), `${program} preloads nothing`)
      assert.deepEqual(listening(pid), [], `${program} listens nowhere`)
    }
    // The variables did work: the programs of the host, which nobody trusts, have obeyed them.
    const maps = readFileSync(`/proc/${pod.command.pid}/maps`, 'utf8')
    assert.ok(maps.includes(basename(preload)))
    const obeyed = readFileSync(marker, 'utf8')
    assert.match(obeyed, /enclave-cc\.cjs/)
    assert.doesNotMatch(obeyed, /agent\.cjs|init\.cjs|init-serve\.cjs/)
  } finally {
    await pod.stop()
  }
})

test('all code of an enclave comes from its measured image', async () => {
  const pod = await start()
  try {
    for (const [program, pid] of pod.enclaves) {
      const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n')
      const own = mounts.find((line) => line.split(' ')[4] === '/')
      assert.match(`${own}`, /- erofs /, program)
      assert.match(`${own?.split(' ')[5]}`, /(^|,)ro(,|$)/)
      // Device numbers tell the image from the host's files of the same path.
      const image = `${own?.split(' ')[2]}`.split(':').map(Number)
      const executable = readFileSync(`/proc/${pid}/maps`, 'utf8')
        .split('\n')
        .map((line) => line.split(/\s+/))
        .filter(([, rights, , , inode]) => rights?.includes('x') && inode !== '0')
      assert.ok(executable.length > 3)
      for (const [, , , device, , path] of executable) {
        const [major, minor] = `${device}`.split(':').map((part) => Number.parseInt(part, 16))
        assert.deepEqual([major, minor], image, `${path} is of the image`)
      }
    }
  } finally {
    await pod.stop()
  }
})

test('an enclave has descriptors 0 to 3 and what it opened itself; no child has the fourth', async () => {
  const secret = openSync('/etc/hostname', 'r')
  const pod = await start({}, [], [secret, secret, secret])
  try {
    const ofHost = new Set(
      [pod.supervisor, pod.command.pid ?? 0]
        .flatMap((pid) => [...descriptors(pid).values()])
        .filter((link) => /^(socket|pipe):|^\//.test(link) && link !== '/dev/null'),
    )
    for (const [program, pid] of pod.enclaves) {
      const all = descriptors(pid)
      for (const fd of [0, 3]) assert.match(`${all.get(fd)}`, /^socket:/, `${program} ${fd}`)
      for (const [fd, link] of all) {
        if (fd <= 3) continue
        assert.ok(!ofHost.has(link), `${program}: descriptor ${fd} is ${link} of the host`)
        assert.doesNotMatch(link, /hostname|enclave-cc-kbs|platform/, `${program} ${fd}`)
      }
      const device = all.get(3)
      for (const child of descendants(pid)) {
        assert.ok(![...descriptors(child).values()].includes(`${device}`), `child ${child}`)
      }
    }
    assert.ok(descendants(pod.init).length > 0, 'init has children')
  } finally {
    await pod.stop()
  }
})

test('no core file: the limit is the ban of one byte, and a crash leaves none', async () => {
  const pod = await start()
  try {
    for (const [, pid] of pod.enclaves) {
      const limits = readFileSync(`/proc/${pid}/limits`, 'utf8')
      assert.match(limits, /Max core file size +1 +1 /)
    }
    process.kill(pod.agent, 'SIGSEGV')
    const gone = (): boolean => !existsSync(`/proc/${pod.agent}/root/usr`)
    await until(async () => gone(), 'the end of the agent')
    const cores = readdirSync(world.dir, { recursive: true, encoding: 'utf8' })
    assert.deepEqual(
      cores.filter((path) => /(^|\/)core(\.\d+)?$/.test(path)),
      [],
    )
  } finally {
    await pod.stop()
  }
})

test('another user can neither trace an enclave nor read its memory, environment or files', async () => {
  const pod = await start()
  try {
    for (const [program, pid] of pod.enclaves) {
      // the kernel asks for the right to trace before it opens mem or environ
      for (const file of ['mem', 'environ', 'maps', 'fd/3', 'root/usr']) {
        const read = ['head', '-c', '1', `/proc/${pid}/${file}`]
        const { status } = spawnSync('setpriv', [...NOBODY, ...read], { stdio: 'ignore' })
        assert.notEqual(status, 0, `${program}: ${file}`)
      }
      assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^TracerPid:\t0$/m)
    }
  } finally {
    await pod.stop()
  }
})

test('not even root without CAP_SYS_PTRACE reads an enclave: it is not dumpable', async (t) => {
  // The whole pod runs without that right, so that the observer's rights are no fewer than its.
  const pod = await start({}, ['setpriv', ...WITHOUT_PTRACE])
  try {
    const opens = (pid: number): boolean => {
      const script = `require('node:fs').openSync('/proc/${pid}/mem', 'r')`
      const line = [...WITHOUT_PTRACE, process.execPath, '-e', script]
      return spawnSync('setpriv', line, { stdio: 'ignore' }).status === 0
    }
    if (!opens(pod.supervisor)) {
      t.skip('this kernel shows no process to the observer, so it shows nothing about enclaves')
      return
    }
    for (const [program, pid] of pod.enclaves) assert.equal(opens(pid), false, program)
  } finally {
    await pod.stop()
  }
})

test('SIGUSR1 opens no inspector', async () => {
  for (const which of ['agent', 'init'] as const) {
    const pod = await start()
    try {
      const pid = pod[which]
      process.kill(pid, 'SIGUSR1')
      // Without the flag node opens the port within a few milliseconds.
      const end = Date.now() + 300
      while (Date.now() < end && existsSync(`/proc/${pid}/fd`)) {
        assert.deepEqual(safely(() => listening(pid)) ?? [], [])
        await delay(20)
      }
      // Nor is it a way to end an enclave: nobody listens to the signal at all.
      assert.ok(existsSync(`/proc/${pid}/fd`), `${which} lives on`)
    } finally {
      await pod.stop()
    }
  }
})

test('a library swapped in the bundle after it was measured stops the start', async () => {
  const edited = copyBundle('swapped')
  const file = join(edited, 'bundle.erofs')
  const bytes = readFileSync(file)
  // One byte within the C library, as its own file in the image would have it.
  const at = bytes.indexOf('GNU C Library')
  assert.ok(at > 0)
  bytes[at] = 0x67
  writeFileSync(file, bytes)
  refused(await world.cli(['attest', '--bundle', edited]), 'BUNDLE_IMAGE_MISMATCH', 1)
  refused(await world.cli(['run', '--rm', '--bundle', edited, image]), 'BUNDLE_IMAGE_MISMATCH')
})

test('a bundle exchanged on disk while it is mounted changes nothing that runs', async () => {
  const own = copyBundle('live')
  const file = join(own, 'bundle.erofs')
  const size = readFileSync(file).length
  // Options stand before the image.
  const line = `node=$1; shift; exec "$node" "$1" "$2" run --rm --bundle ${own} ${image}`
  const pod = await start({}, ['sh', '-c', line, 'sh'])
  try {
    const seen = (): string => {
      const path = `/proc/${pod.agent}/root/usr/bin/node`
      return spawnSync('sha256sum', [path], { encoding: 'utf8' }).stdout.slice(0, 64)
    }
    const first = seen()
    assert.equal(first.length, 64)
    writeFileSync(file, new Uint8Array(size))
    assert.equal(seen(), first)
  } finally {
    await pod.stop()
  }
})

test('an extra file in the bundle is another image, another measurement, and refused', async () => {
  const edited = copyBundle('extra')
  const tree = world.path('extra-tree')
  const file = join(edited, 'bundle.erofs')
  const run = (name: string, args: readonly string[]): void => {
    const { status, stderr } = spawnSync(name, args, { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  }
  run('fsck.erofs', [`--extract=${tree}`, file])
  // What node would read beside its program, if it were there.
  writeFileSync(join(tree, 'usr/lib/enclave-cc/package.json'), '{"type":"module"}')
  rmSync(file)
  run('mkfs.erofs', ['-T', '0', file, tree])
  refused(await world.cli(['attest', '--bundle', edited]), 'BUNDLE_IMAGE_MISMATCH', 1)
  // With manifests that fit, signed by a key of the operator's own.
  const digest = spawnSync('sha256sum', [file], { encoding: 'utf8' }).stdout.slice(0, 64)
  const key = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 }).privateKey
  const size = readFileSync(file).length
  for (const name of ['agent', 'init'] as const) {
    const manifest = { ...manifestOf(name), image: { sha256: digest, size } }
    assert.notDeepEqual(mrEnclave(manifest), mrEnclave(manifestOf(name)))
    const signed = signedManifestBytes(signManifest(manifest, key))
    writeFileSync(join(edited, `${name}.json`), signed)
  }
  refused(await world.cli(['attest', '--bundle', edited]), 'APPRAISE_MEASUREMENT', 1)
})

/** A library of this machine that neither node nor its libraries want. */
function someLibrary(): string {
  const folder = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu'].find(existsSync)
  const names = ['libbz2.so.1.0', 'liblzma.so.5', 'libz.so.1', 'libacl.so.1']
  const found = names.map((name) => join(`${folder}`, name)).find(existsSync)
  assert.ok(found)
  return found
}

function copyBundle(name: string): string {
  const copy = world.path(name)
  for (const file of BUNDLE_FILES) {
    cpSync(join(world.root, 'bundles/default', file), join(copy, file))
  }
  return copy
}

function safely<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
