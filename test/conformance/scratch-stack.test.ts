import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { HandoverLayer } from '#lib/handover'
import type { LaunchConfig } from '#lib/launch'
import { removeCgroup } from '#platform/cgroup'
import { busyboxBinary } from '../support/busybox-image.ts'
import {
  launchOf,
  sealLayer,
  startInit,
  type TestInit,
  testFolder,
} from '../support/init-harness.ts'
import { children } from '../support/pod-processes.ts'
import { eventually, findTraces, NO_TRACES } from '../support/traces.ts'

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  if (!existsSync('/dev/fuse')) return 'needs /dev/fuse'
  if (!existsSync('/dev/loop-control')) return 'needs /dev/loop-control'
  for (const program of ['runc', 'mke2fs']) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `needs ${program}`
  }
  return undefined
}

const skip = missing()
if (skip !== undefined) console.log(`skip: the encrypted scratch: ${skip}`)

const SIZE = 64 * 1024 * 1024
const MARKER = 'scratch-marker-51d09c'

describe('the encrypted scratch', { skip: skip ?? false }, () => {
  const folder = testFolder()
  const spool = join(folder.path, 'spool')
  let layer: HandoverLayer

  before(async () => {
    const tree = join(folder.path, 'tree')
    for (const name of ['bin', 'proc', 'dev', 'sys', 'tmp', 'data']) {
      mkdirSync(join(tree, name), { recursive: true })
    }
    copyFileSync(busyboxBinary(), join(tree, 'bin/busybox'))
    chmodSync(join(tree, 'bin/busybox'), 0o755)
    const applets = 'sh cat dd ls rm sync sleep yes tr wc md5sum echo grep true'
    for (const name of applets.split(' ')) {
      symlinkSync('busybox', join(tree, 'bin', name))
    }
    writeFileSync(join(tree, 'data/from-image'), 'from\n')
    layer = await sealLayer(tree, spool, 'layer-0')
  })
  after(() => {
    folder[Symbol.dispose]()
  })

  const shell = (script: string, change: Partial<LaunchConfig> = {}): LaunchConfig =>
    launchOf([layer], ['/bin/sh', '-c', script], {
      scratch: { kind: 'disk', size: SIZE },
      ...change,
    })

  async function withInit(
    config: LaunchConfig,
    body: (init: TestInit) => Promise<void>,
    place = spool,
  ): Promise<void> {
    const init = await startInit(place)
    try {
      await init.prepare([{ ...layer, key: layer.key.slice() }], config)
      await body(init)
    } finally {
      await init[Symbol.asyncDispose]()
    }
    await eventually(() => findTraces(init.base, config.cgroupsPath).mounts.length === 0)
    assert.deepEqual(findTraces(init.base, config.cgroupsPath), NO_TRACES)
  }

  async function run(config: LaunchConfig) {
    let result = {
      exitCode: -1,
      signal: 0,
      code: '',
      message: '',
      damaged: '',
      output: '',
      errors: '',
    }
    await withInit(config, async (init) => {
      await init.client.start({})
      const exit = await init.client.wait({})
      await init.client.shutdown({})
      assert.equal(await init.exited, 0)
      result = { ...exit, output: init.output(), errors: init.errors() }
    })
    return result
  }

  test('holds what a container writes, on ext4', async () => {
    const script = `echo ${MARKER} > /data/a; sync; cat /data/a; grep ' / ' /proc/mounts; exit 4`
    const result = await run(shell(script))
    assert.equal(result.exitCode, 4, JSON.stringify(result))
    assert.match(result.output, new RegExp(`^${MARKER}\n`))
  })

  test('what a container writes is no plaintext in any file, but is on the loop device', async () => {
    const script = `i=0; while [ $i -lt 500 ]; do echo ${MARKER}; i=$((i+1)); done > /data/m; sync; echo ready; sleep 60`
    await withInit(shell(script), async (init) => {
      await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      const [loop] = scratchLoops(init.base)
      // The positive control, and what the documentation says of loop devices.
      assert.equal(spawnSync('grep', ['-q', MARKER, `/dev/${loop?.name}`]).status, 0)
      const file = cipherFile(init.pid)
      assert.ok(statSync(file).blocks > 0)
      assert.equal(statSync(file).size, SIZE)
      assert.equal(spawnSync('grep', ['-q', MARKER, file]).status, 1)
      assert.equal(spawnSync('grep', ['-rq', MARKER, spool]).status, 1)
      assert.deepEqual(readdirSync(spool), ['layer-0.sealed'], 'the scratch has no name')
    })
  })

  const attacks: Record<string, (file: string, older: Uint8Array) => void> = {
    'an older version of the file': (file, older) => writeFileSync(file, older, { flag: 'r+' }),
    zeros: (file) => writeFileSync(file, new Uint8Array(SIZE), { flag: 'r+' }),
    'chunks exchanged': (file) => {
      const bytes = readFileSync(file)
      for (let at = 0; at + 8192 <= bytes.length; at += 8192) {
        const first = Uint8Array.from(bytes.subarray(at, at + 4096))
        bytes.copyWithin(at, at + 4096, at + 8192)
        bytes.set(first, at + 4096)
      }
      writeFileSync(file, bytes, { flag: 'r+' })
    },
    'bits flipped': (file) => {
      const bytes = readFileSync(file)
      for (let at = 9; at < bytes.length; at += 4096) bytes[at] = (bytes[at] ?? 0) ^ 0x40
      writeFileSync(file, bytes, { flag: 'r+' })
    },
    'a file that was cut': (file) => truncateSync(file, 0),
  }
  for (const [name, attack] of Object.entries(attacks)) {
    test(`${name} is an error for the reader, never other bytes, and ends the container`, async () => {
      const script =
        'fill() { yes $1 | dd bs=4096 count=256 iflag=fullblock of=/data/f conv=notrunc,fsync 2>/dev/null; }; ' +
        'fill A; sync; echo first; ' +
        'trap "fill B; sync; echo second" USR1; trap "md5sum /data/f; echo read" USR2; ' +
        'while :; do sleep 0.05; done'
      const expected = createHash('md5').update('B\n'.repeat(524_288)).digest('hex')
      await withInit(shell(script), async (init) => {
        await init.client.start({})
        await eventually(() => init.output().includes('first'))
        const file = cipherFile(init.pid)
        const older = new Uint8Array(readFileSync(file))
        await init.client.kill({ signal: constants.signals.SIGUSR1, all: false })
        await eventually(() => init.output().includes('second'))
        dropCaches()
        // Without an attack it reads back: what follows is the attack's doing.
        await init.client.kill({ signal: constants.signals.SIGUSR2, all: false })
        await eventually(() => init.output().includes('read'))
        attack(file, older)
        dropCaches()
        await init.client.kill({ signal: constants.signals.SIGUSR2, all: false })
        const end = await init.client.wait({})
        assert.equal(end.code, 'ROOTFS_TAMPERED')
        assert.equal(end.damaged, 'scratch')
        assert.match(end.message, /scratch, chunk \d+ is not genuine/)
        const sums = init.output().match(/[0-9a-f]{32}/g) ?? []
        assert.ok(sums.length >= 1)
        assert.deepEqual([...new Set(sums)], [expected])
      })
    })
  }

  test('a full scratch is ENOSPC for the container, which can go on', async () => {
    const script =
      'echo kept > /data/k; dd if=/dev/zero of=/data/x bs=64k; echo "dd $?"; rm /data/x; ' +
      'echo more > /data/l && cat /data/k /data/l; exit 5'
    const result = await run(shell(script))
    assert.deepEqual([result.exitCode, result.code], [5, ''])
    assert.match(result.errors, /No space left on device/)
    assert.equal(result.output, 'dd 1\nkept\nmore\n')
  })

  test('a full disk of the host is an error for the container, never old or other data', async () => {
    const tiny = join(folder.path, 'tiny')
    mkdirSync(tiny)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tiny', tiny])
    try {
      copyFileSync(join(spool, 'layer-0.sealed'), join(tiny, 'layer-0.sealed'))
      const script =
        "check() { cat /data/k; tr -d 'P\\n\\000' < /data/x 2>/dev/null | wc -c; exit 6; }; " +
        'echo kept > /data/k; sync; ' +
        'yes P | dd bs=4096 count=10000 iflag=fullblock of=/data/x conv=fsync 2>/dev/null; ' +
        'echo "dd $?"; echo ready; trap check USR1; while :; do sleep 0.05; done'
      await withInit(
        shell(script),
        async (init) => {
          await init.client.start({})
          await eventually(() => init.output().includes('ready'))
          dropCaches()
          await init.client.kill({ signal: constants.signals.SIGUSR1, all: false })
          const end = await init.client.wait({})
          assert.deepEqual([end.exitCode, end.code], [6, ''], init.output() + init.errors())
          assert.equal(init.output(), 'dd 1\nready\nkept\n0\n')
          await init.client.shutdown({})
          assert.equal(await init.exited, 0)
        },
        tiny,
      )
    } finally {
      execFileSync('umount', [tiny])
    }
  })

  test('a disk of the host that holds not even an empty filesystem refuses the start by name', async () => {
    const none = join(folder.path, 'none')
    mkdirSync(none)
    const { size } = statSync(join(spool, 'layer-0.sealed'))
    const pages = Math.ceil(size / 4096) + 8
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${pages * 4096}`, 'none', none])
    try {
      copyFileSync(join(spool, 'layer-0.sealed'), join(none, 'layer-0.sealed'))
      await withInit(
        shell('exit 0'),
        async (init) => {
          const refused = { code: 'SCRATCH_UNAVAILABLE', message: /the disk of the node is full/ }
          await assert.rejects(init.client.start({}), refused)
        },
        none,
      )
    } finally {
      execFileSync('umount', [none])
    }
  })

  test('a keeper that is killed is replaced, whatever init does then', async () => {
    await withInit(shell('echo ready; sleep 60'), async (init) => {
      await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      const keepers = (): readonly number[] =>
        children(init.pid).filter((pid) => {
          // What runs beside it may end while it is looked at.
          const status = spawnSync('cat', [`/proc/${pid}/stat`], { encoding: 'utf8' }).stdout
          return /^\d+ \(cat\) [^Z]/.test(status)
        })
      const [first = 0, ...others] = keepers()
      assert.deepEqual(others, [])
      process.kill(first, 'SIGKILL')
      await eventually(() => keepers().length === 1 && !keepers().includes(first))
      await init.client.shutdown({})
      assert.equal(await init.exited, 0)
    })
  })

  test('what the node masks of new files is masked in no container', async () => {
    const before = process.umask(0o077)
    try {
      const script = 'cat /etc/hosts /etc/resolv.conf; ls -d /vol/new && cd /vol/new && ls /data'
      const config = shell(script, { user: '1000:1000', volumes: ['/vol/new'] })
      const result = await run(config)
      assert.equal(result.exitCode, 0, JSON.stringify(result))
      assert.match(result.output, /localhost\nnameserver 192\.0\.2\.1\n\/vol\/new\nfrom-image\n/)
    } finally {
      process.umask(before)
    }
  })

  test('volumes are on the scratch, with what the image has there, and need no memory', async () => {
    const script =
      'cat /data/from-image; echo x > /data/new; echo y > /fresh/er/new; cat /data/new /fresh/er/new; ' +
      'grep -E " (/data|/fresh/er) " /proc/mounts'
    const result = await run(shell(script, { volumes: ['/data', '/fresh/er'] }))
    assert.match(result.output, /^from\nx\ny\n\/dev\/loop\d+ \/fresh\/er ext4 /)
    assert.doesNotMatch(result.output, /tmpfs| \/data /)
  })

  test('a scratch that was prepared ahead is the one that is used; another size is refused', async () => {
    await withInit(shell('echo x > /data/a; sync'), async (init) => {
      await init.client.prepareScratch({ size: BigInt(SIZE) })
      const twice = init.client.prepareScratch({ size: BigInt(SIZE) })
      await assert.rejects(twice, { code: 'INIT_STATE' })
      const ahead = scratchLoops(init.base)
      assert.equal(ahead.length, 1, 'it is there when that is answered')
      await init.client.start({})
      assert.deepEqual(scratchLoops(init.base), ahead)
      assert.equal((await init.client.wait({})).exitCode, 0)
    })
    await withInit(shell('exit 0'), async (init) => {
      await init.client.prepareScratch({ size: BigInt(2 * SIZE) })
      await assert.rejects(init.client.start({}), { code: 'INIT_STATE' })
    })
    const memory = { scratch: { kind: 'tmpfs', size: 2 ** 20 } } as const
    await withInit(shell('grep -c ext4 /proc/mounts; echo x > /data/a', memory), async (init) => {
      await init.client.prepareScratch({ size: BigInt(SIZE) })
      await init.client.start({})
      assert.equal((await init.client.wait({})).exitCode, 0)
      assert.deepEqual(scratchLoops(init.base), [], 'nobody sees what is in memory')
    })
    const init = await startInit(spool)
    await init.configure()
    for (const size of [0n, 4096n, 2n ** 40n, 2n ** 63n]) {
      await assert.rejects(init.client.prepareScratch({ size }), { code: 'INIT_STATE' })
    }
    await init[Symbol.asyncDispose]()
  })

  test('what was found damaged before the start lets no program begin', async () => {
    await withInit(shell('echo begun'), async (init) => {
      await init.client.prepareScratch({ size: BigInt(SIZE) })
      const file = cipherFile(init.pid)
      const bytes = readFileSync(file)
      // The last chunk that was written: nothing of a start needs it.
      const at = bytes.findLastIndex((byte) => byte !== 0)
      bytes[at] = (bytes[at] ?? 0) ^ 1
      writeFileSync(file, bytes, { flag: 'r+' })
      const [loop] = scratchLoops(init.base)
      dropCaches()
      const read = [
        'iflag=direct',
        'bs=64k',
        'conv=noerror',
        'of=/dev/null',
        `if=/dev/${loop?.name}`,
      ]
      assert.match(String(spawnSync('dd', read).stderr), /Input\/output error/)
      await assert.rejects(init.client.start({}), { code: 'ROOTFS_TAMPERED' })
      assert.equal(init.output(), '')
    })
  })

  /** Runs the scratch alone; what it printed, and nothing of it may be left. */
  function alone(what: string, argument = ''): Record<string, unknown> {
    const entry = join(import.meta.dirname, '../support/scratch-entry.ts')
    const place = mkdtempSync(join(folder.path, 'alone-'))
    if (what === 'untar') {
      mkdirSync(join(place, 'plain'))
      execFileSync('tar', ['-C', join(place, 'plain'), '-xf', argument])
    }
    const node = ['--disable-warning=ExperimentalWarning', entry, what, place, argument]
    const ran = spawnSync(process.execPath, node, { encoding: 'utf8', timeout: 240_000 })
    assert.equal(ran.status, 0, ran.stderr)
    assert.deepEqual(findTraces(place, '/none'), NO_TRACES)
    assert.deepEqual(scratchLoops(join(place, 'base')), [])
    return JSON.parse(ran.stdout) as Record<string, unknown>
  }

  test('random reads, writes and holes at any offset agree with an array, on ext4 and below it', () => {
    for (const what of ['file', 'model']) {
      const { compared, trouble } = alone(what)
      assert.ok(Number(compared) > 200, `${what}: ${compared} comparisons`)
      assert.equal(trouble, '')
    }
  })

  test('a tree of real files comes out as it went in', () => {
    const archive = join(folder.path, 'tree.tar')
    execFileSync('tar', [
      '-cf',
      archive,
      '-C',
      '/usr/lib/python3',
      'dist-packages',
      '-C',
      '/etc',
      '.',
    ])
    const { status, differences, files, trouble } = alone('untar', archive)
    assert.deepEqual([status, differences, trouble], [0, '', ''])
    assert.ok(Number(files) > 300)
  })

  test('init killed at any moment of its preparation leaves no mount, device or process', async () => {
    for (const wait of [0, 10, 20, 40, 60, 80, 120, 200]) {
      const init = await startInit(spool)
      await init.configure()
      const preparing = init.client.prepareScratch({ size: BigInt(SIZE) }).catch(() => {})
      // Not to wait for anything: to be somewhere else each time.
      await new Promise((resolve) => setTimeout(resolve, wait))
      const loops = scratchLoops(init.base)
      process.kill(init.pid, 'SIGKILL')
      assert.equal(await init.exited, 'SIGKILL')
      await init[Symbol.asyncDispose]()
      await preparing
      await eventually(() => !loops.some(isThere))
      await eventually(() => findTraces(init.base, '/none').mounts.length === 0)
      assert.deepEqual(findTraces(init.base, '/none'), NO_TRACES)
    }
  })

  test('init killed with a container that writes leaves nothing once the container was killed', async () => {
    const config = shell(
      'echo ready; while :; do dd if=/dev/zero of=/data/x bs=64k count=200; done',
    )
    await withInit(config, async (init) => {
      const { pid } = await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      const loops = scratchLoops(init.base)
      assert.ok(loops.some(isThere), 'the detector sees nothing')
      process.kill(init.pid, 'SIGKILL')
      process.kill(pid, 'SIGKILL')
      assert.equal(await init.exited, 'SIGKILL')
      await eventually(() => removeCgroup(config.cgroupsPath))
      await eventually(() => !loops.some(isThere))
    })
  })

  test('what is deleted goes back to the disk when it is trimmed, and the rest stays', () => {
    const { written, trimmed, kept, trouble } = alone('trim')
    assert.ok(Number(written) > 100e6, `${written} bytes before`)
    assert.ok(Number(trimmed) < 20e6, `${trimmed} bytes after`)
    assert.deepEqual([kept, trouble], [true, ''])
  })

  test('what was not written yet is not written at the end', () => {
    const { opened, closed, before, after, trouble } = alone('abandon')
    assert.equal(trouble, '')
    assert.ok(Number(after) - Number(before) < 50e6, `${before}, ${after} bytes of 200 MB`)
    console.log(`scratch: prepared in ${opened} ms, taken down in ${closed} ms`)
  })
})

/** The unnamed file that an init keeps its scratch in, as the host can reach it. */
function cipherFile(pid: number): string {
  const folder = `/proc/${pid}/fd`
  const name = readdirSync(folder).find((fd) => {
    const target = readlinkSync(join(folder, fd))
    return target.includes('/spool/#') || target.includes('/tiny/#')
  })
  assert.ok(name, 'init has no unnamed file')
  return join(folder, name)
}

function dropCaches(): void {
  execFileSync('sh', ['-c', 'echo 1 > /proc/sys/vm/drop_caches'])
}

interface Loop {
  readonly name: string
  /** Another number says that the device has come to stand for something else. */
  readonly sequence: string
}

/** Loop devices whose backing file is the scratch below `base`. */
function scratchLoops(base: string): Loop[] {
  return readdirSync('/sys/block').flatMap((name) => {
    const found = sysBlock(name, 'loop/backing_file').includes(`${base}/f/scratch`)
    return found ? [{ name, sequence: sysBlock(name, 'diskseq') }] : []
  })
}

/** Whether it is still that device. Its file has no path any more once the mount has gone. */
function isThere({ name, sequence }: Loop): boolean {
  return sysBlock(name, 'loop/backing_file') !== '' && sysBlock(name, 'diskseq') === sequence
}

function sysBlock(name: string, file: string): string {
  try {
    return readFileSync(`/sys/block/${name}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
