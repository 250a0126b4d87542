import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FormatError, utf8 } from '#lib/bytes'
import type { ImageConfig } from '#lib/oci'
import {
  constructLaunch,
  encodeLaunchConfig,
  type GrantedRequests,
  type HostRequest,
  isNeverGrantableEnv,
  isNeverGrantableMount,
  type LaunchConfig,
  NOTHING_GRANTED,
  parseHostRequest,
  parseLaunchConfig,
  runtimeSpec,
  signalNumber,
} from './index.ts'

const image: ImageConfig = {
  os: 'linux',
  architecture: 'amd64',
  config: {
    User: 'app',
    Env: ['PATH=/opt/bin', 'LANG=C', 'LD_PRELOAD=/opt/own.so'],
    Entrypoint: ['/entry', '--flag'],
    Cmd: ['serve'],
    WorkingDir: '/srv//app/',
    Volumes: ['/data/'],
    StopSignal: '',
    ExposedPorts: [],
    Labels: {},
  },
  rootfs: { diffIds: ['sha256:a', 'sha256:b'] },
}
const container = { id: 'c0ffee', layers: ['layer-0.sealed', 'layer-1.sealed'] }
/** Every request of the host permitted: what the code must refuse even then is refused by itself. */
const everything: GrantedRequests = {
  args: true,
  entrypoint: true,
  env: ['LOG', 'LD_PRELOAD', 'PATH', 'http_proxy', 'NODE_OPTIONS', 'lang'],
  user: true,
  workdir: true,
  diskScratch: true,
  stdio: 'plain',
}
const host = (json: object): HostRequest => parseHostRequest(utf8(JSON.stringify(json)))
const launch = (json: object = {}, granted: GrantedRequests = NOTHING_GRANTED): LaunchConfig =>
  constructLaunch(image, host(json), granted, container)
const withImage = (config: Partial<ImageConfig['config']>): LaunchConfig =>
  constructLaunch(
    { ...image, config: { ...image.config, ...config } },
    host({}),
    NOTHING_GRANTED,
    container,
  )

test('without a request, the launch is what the image says', () => {
  assert.deepEqual(launch(), {
    version: 1,
    containerId: 'c0ffee',
    hostname: 'c0ffee',
    args: ['/entry', '--flag', 'serve'],
    env: ['PATH=/opt/bin', 'HOSTNAME=c0ffee', 'LANG=C', 'LD_PRELOAD=/opt/own.so'],
    cwd: '/srv/app',
    user: 'app',
    stdio: 'plain',
    tty: false,
    stopSignal: 'SIGTERM',
    volumes: ['/data'],
    readonlyRootfs: false,
    scratch: { kind: 'tmpfs', size: 1024 * 1024 * 1024 },
    network: 'host',
    hosts: '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tc0ffee\n',
    resolvConf: '',
    cgroupsPath: '/enclave-cc-c0ffee',
    resources: {},
    layers: [{ file: 'layer-0.sealed' }, { file: 'layer-1.sealed' }],
  })
})

test('every request of the host is refused by its own code unless it was granted', () => {
  const cases: [object, string][] = [
    [{ args: ['x'] }, 'LAUNCH_ARGS_REFUSED'],
    [{ entrypoint: ['x'] }, 'LAUNCH_ENTRYPOINT_REFUSED'],
    [{ env: { LOG: '1' } }, 'LAUNCH_ENV_REFUSED'],
    [{ user: '0' }, 'LAUNCH_USER_REFUSED'],
    [{ workdir: '/tmp' }, 'LAUNCH_WORKDIR_REFUSED'],
    [{ tty: true }, 'LAUNCH_TTY_REFUSED'],
    [{ stdin: true }, 'LAUNCH_STDIN_REFUSED'],
    [{ mounts: [{ source: '/x', target: '/data' }] }, 'LAUNCH_MOUNT_REFUSED'],
  ]
  for (const [request, code] of cases) {
    assert.throws(() => launch(request), { code }, JSON.stringify(request))
  }
})

test('what was granted takes effect, and no more than that', () => {
  const granted = { ...NOTHING_GRANTED, args: true, env: ['LOG'], user: true, workdir: true }
  const found = launch({ args: ['a', 'b'], env: { LOG: '=x' }, user: '5', workdir: '/w' }, granted)
  assert.deepEqual(found.args, ['/entry', '--flag', 'a', 'b'])
  assert.equal(found.env.at(-1), 'LOG==x')
  assert.deepEqual([found.user, found.cwd], ['5', '/w'])
  assert.throws(() => launch({ env: { LOG: '1', OTHER: '2' } }, granted), {
    code: 'LAUNCH_ENV_REFUSED',
  })
  const entry = launch({ entrypoint: ['/sh'] }, { ...NOTHING_GRANTED, entrypoint: true })
  assert.deepEqual(entry.args, ['/sh'], "the image's command goes with its entry point")
})

test('some variables are refused even where the policy grants them', () => {
  const names = [
    'LD_PRELOAD',
    'ld_preload',
    'NODE_OPTIONS',
    'GLIBC_TUNABLES',
    'GCONV_PATH',
    'PATH',
    'http_proxy',
    'HTTPS_PROXY',
    'NO_PROXY',
    'SSL_CERT_FILE',
    'PYTHONPATH',
    'PYTHONSTARTUP',
    'BASH_ENV',
    'ENV',
    'BASH_FUNC_x%%',
    'CORECLR_PROFILER_PATH',
    'DOTNET_ADDITIONAL_DEPS',
    'LUA_INIT',
    'CLASSPATH',
    'REQUESTS_CA_BUNDLE',
    'SSLKEYLOGFILE',
    'HOSTALIASES',
    'SHELLOPTS',
    'GODEBUG',
    'php_ini_scan_dir',
    'A=B',
    'A\nB',
    '',
  ]
  for (const name of names) {
    assert.ok(isNeverGrantableEnv(name), name)
    const granted = { ...everything, env: [name] }
    assert.throws(() => launch({ env: { [name]: 'x' } }, granted), { code: 'LAUNCH_ENV_REFUSED' })
  }
  for (const name of ['LOG', 'ENVIRONMENT', 'MYPATH', 'PROXY', 'OLD_X']) {
    assert.ok(!isNeverGrantableEnv(name), name)
  }
})

test('a launch that no document can describe is refused by the agent, before any key', () => {
  const args = Array.from({ length: 8 }, () => 'x'.repeat(120_000))
  const granted = { ...everything, args: true }
  const wide = { ...image, config: { ...image.config, Env: [`A=${'y'.repeat(130_000)}`] } }
  assert.throws(() => constructLaunch(wide, host({ args }), granted, container), {
    code: 'LAUNCH_IMAGE_UNSUITABLE',
  })
  assert.equal(constructLaunch(image, host({ args: ['x'] }), granted, container).args[2], 'x')
})

test('some mounts are refused whatever anybody grants', () => {
  const targets = ['/', '/usr', '/usr/x', '/lib', '/lib64/x', '/libx32', '/bin', '/sbin/a', '/etc']
  for (const target of [
    ...targets,
    '/etc/passwd',
    '/proc/1',
    '/sys',
    '/dev/shm',
    'x',
    '/a/../etc',
  ]) {
    assert.ok(isNeverGrantableMount(target), target)
  }
  for (const target of ['/data', '/home/lib', '/opt/usr', '/li', '/etcetera']) {
    assert.ok(!isNeverGrantableMount(target), target)
  }
})

test('hosts, resolv.conf and the host name are rendered anew from what parses', () => {
  const found = launch({
    hostname: 'web-1',
    hosts:
      '10.0.0.1 db db.local # comment\nnonsense\n::1 localhost\n1.2.3.4 bad/name\n999.1.1.1 x\n',
    resolvConf:
      '; note\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver ::ffff:1.2.3.4\n' +
      'search a.example b.example\noptions ndots:5 trust-ad inet6\nsortlist 1.2.3.4\n',
  })
  const loopback = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n'
  assert.equal(found.hosts, `${loopback}10.0.0.1\tdb db.local\n`)
  const moved = launch({
    hosts: '6.6.6.6 LocalHost db localhost. a.localhost\n6.6.6.6 ip6-loopback',
  })
  assert.equal(moved.hosts, `${loopback}6.6.6.6\tdb\n`)
  assert.equal(
    found.resolvConf,
    'nameserver 10.0.0.53\nnameserver ::ffff:1.2.3.4\nsearch a.example b.example\noptions ndots:5\n',
  )
  assert.equal(found.hostname, 'web-1')
  assert.throws(() => launch({ hostname: 'a b' }), { code: 'LAUNCH_REQUEST_INVALID' })
  for (const cgroupsPath of ['/a/../b', '..', '/a b', '/a//b', '']) {
    assert.throws(() => launch({ cgroupsPath }), { code: 'LAUNCH_REQUEST_INVALID' }, cgroupsPath)
  }
})

test('an image that cannot be launched is refused with the reason', () => {
  const code = 'LAUNCH_IMAGE_UNSUITABLE'
  for (const volume of ['/', '/proc', '/dev/shm', '/a/../b', 'x']) {
    assert.throws(() => withImage({ Volumes: [volume] }), { code }, volume)
  }
  assert.throws(() => withImage({ Env: ['NOVALUE'] }), { code })
  assert.throws(() => withImage({ StopSignal: 'SIGNONE' }), { code })
  assert.throws(() => withImage({ WorkingDir: '/a/../b' }), { code })
  assert.throws(() => withImage({ Entrypoint: [], Cmd: [] }), { code: 'LAUNCH_NO_COMMAND' })
  assert.throws(
    () => constructLaunch(image, host({}), NOTHING_GRANTED, { id: 'c', layers: ['one'] }),
    { code },
  )
  assert.equal(withImage({ WorkingDir: '' }).cwd, '/')
  assert.deepEqual(withImage({ Entrypoint: [] }).args, ['serve'])
})

test('the scratch is on the disk only where that is granted, and memory where nobody asks', () => {
  const disk = { ...NOTHING_GRANTED, diskScratch: true }
  assert.deepEqual(launch({}, disk).scratch, { kind: 'disk', size: 2 ** 32 })
  assert.deepEqual(launch({}).scratch, { kind: 'tmpfs', size: 2 ** 30 })
  const asked = (kind: string, size?: number): object => ({ scratch: { kind, size } })
  assert.deepEqual(launch(asked('disk', 2 ** 24), disk).scratch, { kind: 'disk', size: 2 ** 24 })
  assert.deepEqual(launch(asked('tmpfs'), disk).scratch, { kind: 'tmpfs', size: 2 ** 30 })
  assert.deepEqual(launch(asked('tmpfs', 65_536)).scratch, { kind: 'tmpfs', size: 65_536 })
  assert.throws(() => launch(asked('disk')), { code: 'LAUNCH_SCRATCH_REFUSED' })
})

test('parseHostRequest() refuses unknown members, NUL, and what is not a request', () => {
  const code = 'LAUNCH_REQUEST_INVALID'
  const bad = [
    { hooks: [] },
    { args: 'x' },
    { args: ['a\0b'] },
    { env: { A: 1 } },
    { network: 'none' },
    { scratch: { kind: 'nfs' } },
    { scratch: { size: 2 ** 30 } },
    { scratch: { kind: 'disk', size: 2 ** 24 - 4096 } },
    { scratch: { kind: 'disk', size: 2 ** 24 + 1 } },
    { scratch: { kind: 'disk', size: 2 ** 38 + 4096 } },
    { scratch: { kind: 'tmpfs', size: 2 ** 41 } },
    { resources: { devices: [] } },
    { resources: { memory: 1 } },
    { resources: { cpusetCpus: '0;1' } },
  ]
  for (const request of bad) assert.throws(() => host(request), { code }, JSON.stringify(request))
  assert.throws(() => parseHostRequest(utf8('{"tty":true,"tty":false}')), { code })
  assert.throws(() => parseHostRequest(utf8('[]')), { code })
})

test('a launch configuration round-trips, and any missing or unknown member is refused', () => {
  const config = launch({ resources: { memory: 67_108_864, pids: 10 } })
  const bytes = encodeLaunchConfig(config)
  assert.deepEqual(parseLaunchConfig(bytes), config)
  const json = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>
  for (const member of Object.keys(json)) {
    const { [member]: _, ...rest } = json
    assert.throws(() => parseLaunchConfig(utf8(JSON.stringify(rest))), FormatError, member)
  }
  const changes: object[] = [
    { extra: 1 },
    { version: 2 },
    { tty: true },
    { args: [] },
    { cwd: 'x' },
    { cwd: '/a/..' },
    { env: ['X'] },
    { env: ['=x'] },
    { stopSignal: 'NO' },
    { cgroupsPath: '/../x' },
    { layers: [{ file: '../x' }] },
    { layers: [{ file: 'a/b' }] },
    { volumes: ['relative'] },
    { network: 'bridge' },
    { hostname: '' },
    { scratch: { kind: 'disk', size: 1 } },
    { scratch: { kind: 'disk' } },
    { scratch: { kind: 'disk', size: 2 ** 24 + 1 } },
  ]
  for (const change of changes) {
    const text = JSON.stringify({ ...json, ...change })
    assert.throws(() => parseLaunchConfig(utf8(text)), FormatError, JSON.stringify(change))
  }
})

test('the runtime specification holds nothing that the host could widen', () => {
  const user = { uid: 5, gid: 6, additionalGids: [7] }
  const paths = { rootfs: '/r', hosts: '/h', resolvConf: '/c', hostname: '/n' }
  const config = launch({ resources: { memory: 67_108_864, cpuQuota: 5000, pids: 3 } })
  const spec = runtimeSpec(config, user, paths) as Record<string, Record<string, unknown>>
  const { process: run, linux, root } = spec
  assert.deepEqual(Object.keys(spec).sort(), [
    'hostname',
    'linux',
    'mounts',
    'ociVersion',
    'process',
    'root',
  ])
  assert.deepEqual(run?.user, user)
  assert.equal(run?.noNewPrivileges, true)
  assert.equal(run?.terminal, false)
  assert.deepEqual(run?.rlimits, [{ type: 'RLIMIT_CORE', hard: 1, soft: 1 }])
  assert.deepEqual(root, { path: '/r', readonly: false })
  const kinds = ((linux?.namespaces ?? []) as { type: string; path?: string }[]).map((n) => {
    assert.equal(n.path, undefined)
    return n.type
  })
  assert.deepEqual(kinds, ['pid', 'ipc', 'uts', 'mount', 'cgroup'])
  assert.deepEqual(linux?.resources, {
    devices: [{ allow: false, access: 'rwm' }],
    memory: { limit: 67_108_864 },
    cpu: { quota: 5000 },
    pids: { limit: 3 },
  })
  const capabilities = run?.capabilities as Record<string, string[]>
  assert.equal(capabilities.bounding?.length, 14)
  for (const name of ['CAP_SYS_ADMIN', 'CAP_SYS_PTRACE', 'CAP_NET_ADMIN', 'CAP_SYS_MODULE']) {
    assert.ok(!capabilities.bounding?.includes(name), name)
  }
  assert.equal(capabilities.ambient, undefined)
  assert.equal(capabilities.inheritable, undefined)
})

test('runtimeSpec() says the score of the machine and keeps every tmpfs out of swap', () => {
  const paths = { rootfs: '/r', hosts: '/h', resolvConf: '/c', hostname: '/n' }
  const user = { uid: 0, gid: 0, additionalGids: [] }
  const of = (noswap: boolean) =>
    runtimeSpec({ ...launch(), volumes: ['/data'] }, user, paths, {
      architecture: 'x64',
      oomScoreAdj: 250,
      noswap,
    }) as {
      process: { oomScoreAdj: number }
      mounts: { type: string; options: string[] }[]
      linux: { readonlyPaths: string[] }
    }
  const spec = of(true)
  assert.equal(spec.process.oomScoreAdj, 250)
  const memory = spec.mounts.filter(({ type }) => type === 'tmpfs')
  assert.equal(memory.length, 3)
  assert.ok(memory.every(({ options }) => options.includes('noswap')))
  assert.ok(!JSON.stringify(of(false)).includes('noswap'))
  assert.ok(spec.linux.readonlyPaths.includes('/sys/fs/cgroup'))
})

test('the seccomp filter leaves out what changes kernel, mounts, namespaces and keyrings', () => {
  const paths = { rootfs: '/r', hosts: '/h', resolvConf: '/c', hostname: '/n' }
  const user = { uid: 0, gid: 0, additionalGids: [] }
  const spec = runtimeSpec(launch(), user, paths) as {
    linux: {
      seccomp: {
        defaultAction: string
        syscalls: { names: string[]; action: string; args?: unknown }[]
      }
    }
  }
  const { seccomp } = spec.linux
  assert.equal(seccomp.defaultAction, 'SCMP_ACT_ERRNO')
  const free = seccomp.syscalls
    .filter((rule) => rule.action === 'SCMP_ACT_ALLOW' && rule.args === undefined)
    .flatMap((rule) => rule.names)
  for (const call of [
    'mount',
    'umount2',
    'unshare',
    'setns',
    'clone',
    'clone3',
    'bpf',
    'keyctl',
    'init_module',
    'kexec_load',
    'reboot',
    'swapon',
    'open_by_handle_at',
    'perf_event_open',
    'userfaultfd',
    'io_uring_setup',
    'settimeofday',
    'pivot_root',
    'fsopen',
    'move_mount',
    'quotactl',
    'iopl',
    'personality',
  ]) {
    assert.ok(!free.includes(call), call)
  }
  for (const call of [
    'read',
    'write',
    'openat',
    'execve',
    'futex',
    'mmap',
    'epoll_pwait',
    'rseq',
  ]) {
    assert.ok(free.includes(call), call)
  }
})

test('signalNumber() knows names, numbers and real-time signals', () => {
  assert.deepEqual(
    ['SIGTERM', 'term', '15', 'SIGKILL', 'SIGRTMIN+3', 'RTMAX-1', 'SIGSYS'].map(signalNumber),
    [15, 15, 15, 9, 37, 63, 31],
  )
  for (const bad of ['', 'SIG', '0', '65', 'SIGRTMIN+40', 'RTMIN+', 'toString']) {
    assert.equal(signalNumber(bad), undefined, bad)
  }
})

test('any text as hosts or resolv.conf renders to lines of the two formats only', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (hosts, resolvConf) => {
      const config = launch({
        hosts: hosts.replaceAll('\0', ''),
        resolvConf: resolvConf.replaceAll('\0', ''),
      })
      assert.match(config.hosts, /^([0-9a-fA-F.:]+\t[\w. -]+\n)+$/)
      assert.match(config.resolvConf, /^((nameserver|search|options) [\w.: -]+\n)*$/)
      assert.deepEqual(parseLaunchConfig(encodeLaunchConfig(config)), config)
    }),
    { numRuns: 200 },
  )
})
