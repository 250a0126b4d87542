import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { HandoverLayer } from '#lib/handover'
import type { LaunchConfig } from '#lib/launch'
import { CHUNK_SIZE, chunkOffset, HEADER_BLOCK, parseHeader } from '#lib/sealed'
import { removeCgroup } from '#platform/cgroup'
import { busyboxBinary } from '../support/busybox-image.ts'
import {
  launchOf,
  sealLayer,
  sealTree,
  startInit,
  type TestInit,
  testFolder,
} from '../support/init-harness.ts'
import { eventually, findTraces, fuseConnections, NO_TRACES } from '../support/traces.ts'

const MARKER = 'plaintext-marker-7b1f'

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  if (!existsSync('/dev/fuse')) return 'needs /dev/fuse'
  for (const program of ['runc', 'mkfs.erofs']) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `needs ${program}`
  }
  return undefined
}

const skip = missing()

describe('the root filesystem stack', { skip: skip ?? false }, () => {
  const folder = testFolder()
  const spool = join(folder.path, 'spool')
  let base: HandoverLayer
  let top: HandoverLayer

  before(async () => {
    buildTrees(folder.path)
    base = await sealLayer(join(folder.path, 'base'), spool, 'layer-0')
    top = await sealLayer(join(folder.path, 'top'), spool, 'layer-1')
  })
  after(() => {
    folder[Symbol.dispose]()
  })

  const layers = (): HandoverLayer[] => [base, top].map((l) => ({ ...l, key: l.key.slice() }))
  const shell = (script: string, change: Partial<LaunchConfig> = {}): LaunchConfig =>
    launchOf([base, top], ['/bin/sh', '-c', script], change)

  /** Runs `body` with a prepared init and proves afterwards that nothing of it is left. */
  async function withInit(
    config: LaunchConfig,
    body: (init: TestInit) => Promise<void>,
    use: readonly HandoverLayer[] = layers(),
  ): Promise<void> {
    const init = await startInit(spool)
    try {
      await init.prepare(use, config)
      await body(init)
    } finally {
      await init[Symbol.asyncDispose]()
    }
    await eventually(() => findTraces(init.base, config.cgroupsPath).mounts.length === 0)
    assert.deepEqual(findTraces(init.base, config.cgroupsPath), NO_TRACES)
  }

  /** Runs the container to its end and returns what it said. */
  async function run(config: LaunchConfig, use?: readonly HandoverLayer[]) {
    let result = {
      exitCode: -1,
      signal: 0,
      code: '',
      message: '',
      damaged: '',
      output: '',
      errors: '',
    }
    await withInit(
      config,
      async (init) => {
        await init.client.start({})
        const exit = await init.client.wait({})
        await init.client.shutdown({})
        assert.equal(await init.exited, 0)
        result = { ...exit, output: init.output(), errors: init.errors() }
      },
      use,
    )
    return result
  }

  async function refusal(
    config: LaunchConfig,
    use?: readonly HandoverLayer[],
  ): Promise<Error & { code?: string; details?: Readonly<Record<string, unknown>> }> {
    let error: Error | undefined
    await withInit(
      config,
      async (init) => {
        error = await init.client.start({}).then(
          () => undefined,
          (e: Error) => e,
        )
      },
      use,
    )
    assert.ok(error, 'the start was not refused')
    return error
  }

  test('shows the same tree as the layers, merged, and lets the container write on top', async () => {
    const script = 'echo ready; echo new > /etc/motd; while :; do sleep 60; done'
    await withInit(shell(script), async (init) => {
      await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      const merged = `/proc/${init.pid}/root${init.base}/r`
      const expected = join(folder.path, 'merged')
      execFileSync('cp', ['-a', join(folder.path, 'base'), expected])
      execFileSync('rm', [join(expected, 'etc/removed')])
      execFileSync('cp', ['-a', join(folder.path, 'top/etc/both'), join(expected, 'etc/both')])
      writeFileSync(join(expected, 'etc/motd'), 'new\n')
      await eventually(() => existsSync(join(merged, 'etc/motd')))
      const left = spawnSync('diff', ['-r', '--no-dereference', expected, merged], {
        encoding: 'utf8',
      })
      // The runtime's own mount points are in addition; nothing else may differ.
      const differences = left.stdout
        .split('\n')
        .filter((l) => l !== '' && !/: (hosts|hostname|resolv\.conf)$/.test(l))
      assert.deepEqual(differences, [])
      await init.client.kill({ signal: 9, all: true })
      assert.deepEqual(await init.client.wait({}), {
        exitCode: 137,
        signal: 9,
        code: '',
        message: '',
        damaged: '',
      })
    })
  })

  test('keeps plaintext out of the spool', () => {
    const image = join(folder.path, 'control.erofs')
    execFileSync('mkfs.erofs', ['-Enoinline_data', image, join(folder.path, 'base')], {
      stdio: 'ignore',
    })
    assert.ok(readFileSync(image).includes(MARKER), 'the detector finds nothing in plaintext')
    assert.ok(!readFileSync(join(spool, 'layer-0.sealed')).includes(MARKER))
  })

  test('runs the program with the identity, limits and files of the launch', async () => {
    const script =
      'id; hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf; ulimit -c; pwd; ' +
      'grep -E "^(NoNewPrivs|Seccomp|CapEff|CapAmb):" /proc/self/status; ls /proc/self/fd; exit 7'
    const result = await run(shell(script, { user: 'app', cwd: '/work/deep' }))
    assert.equal(result.exitCode, 7)
    assert.equal(result.errors, '')
    const lines = result.output.split('\n')
    assert.equal(lines[0], 'uid=1234(app) gid=1234(app) groups=77(extra)')
    assert.deepEqual(lines.slice(1, 7), [
      'inside',
      'inside',
      '127.0.0.1\tlocalhost',
      'nameserver 192.0.2.1',
      '0',
      '/work/deep',
    ])
    assert.match(result.output, /NoNewPrivs:\t1/)
    assert.match(result.output, /Seccomp:\t2/)
    assert.match(result.output, /CapEff:\t0{16}/)
    // 0, 1, 2 and the descriptor of ls: neither the control socket nor the TEE device is inside.
    assert.deepEqual(lines.slice(-5, -1), ['0', '1', '2', '3'])
  })

  test('forbids namespaces, mounts, keyrings and raw devices inside', async () => {
    const script =
      'for c in "unshare -m true" "mount -t tmpfs x /tmp" "mknod /tmp/d b 7 0" ; do ' +
      '$c 2>/dev/null && echo "allowed: $c"; done; dd if=/tmp/d of=/dev/null count=1 2>/dev/null ' +
      '&& echo "read a device"; echo x > /proc/sys/kernel/hostname 2>/dev/null && echo sysctl; exit 0'
    const { output, exitCode } = await run(shell(script))
    assert.equal(exitCode, 0)
    assert.doesNotMatch(output, /unshare|mount|sysctl|read a device/)
  })

  test('reports exit codes and signals', async () => {
    assert.equal((await run(shell('exit 0'))).exitCode, 0)
    assert.equal((await run(shell('exit 255'))).exitCode, 255)
    await withInit(shell('echo ready; exec sleep 60'), async (init) => {
      await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      await init.client.kill({ signal: 9, all: false })
      const { exitCode, signal } = await init.client.wait({})
      assert.deepEqual([exitCode, signal], [137, 9])
      // Signals of the ended container and its end go nowhere, and to nobody else.
      await init.client.kill({ signal: 15, all: true })
    })
    await withInit(shell('trap "exit 42" TERM; echo ready; sleep 60 & wait'), async (init) => {
      await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      await init.client.kill({ signal: 15, all: false })
      assert.equal((await init.client.wait({})).exitCode, 42)
    })
  })

  test('tells a program that is missing from one that cannot be executed', async () => {
    const config = (program: string) => launchOf([base, top], [program])
    const missing = await refusal(config('/bin/nothing'))
    assert.equal(missing.code, 'CONTAINER_COMMAND_NOT_FOUND')
    assert.equal(missing.details?.exitCode, 127)
    assert.equal((await refusal(config('nothing'))).details?.exitCode, 127)
    const data = await refusal(config('/etc/both'))
    assert.equal(data.code, 'CONTAINER_COMMAND_NOT_EXECUTABLE')
    assert.equal(data.details?.exitCode, 126)
  })

  test('resolves users inside the image only, past links that lead out', async () => {
    const outside = join(folder.path, 'outside')
    writeFileSync(outside, 'hostonly:x:55:55::/:/bin/sh\n')
    const tree = join(folder.path, 'links')
    execFileSync('cp', ['-a', join(folder.path, 'base'), tree])
    execFileSync('rm', [join(tree, 'etc/passwd')])
    symlinkSync(`../../../../../../../..${outside}`, join(tree, 'etc/passwd'))
    const layer = await sealTree(tree, spool, 'links')
    const config = launchOf([layer], ['/bin/true'], { user: 'hostonly' })
    assert.equal((await refusal(config, [layer])).code, 'LAUNCH_USER_UNKNOWN')
  })

  test('readers that are killed in the middle of a read disturb nobody', async () => {
    await withInit(shell('echo ready; exec sleep 600'), async (init) => {
      const { pid } = await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      const at = (name: string): string => `/proc/${init.pid}/root${init.base}/${name}`
      // The image itself is never cached, so that each read of it waits for an answer that is interrupted.
      const big = readFileSync(join(folder.path, 'base/data/big'))
      const image = at('f/l0')
      let interrupted = 0
      for (let round = 0; round < 40; round++) {
        const reader = spawn('cat', Array<string>(200).fill(image), { stdio: 'ignore' })
        const ended = once(reader, 'exit')
        const wchan = `/proc/${reader.pid}/wchan`
        await eventually(() => readFileSync(wchan, 'utf8').includes('request_wait_answer'))
        reader.kill(round % 2 === 0 ? 'SIGINT' : 'SIGKILL')
        if ((await ended)[1] !== null) interrupted += 1
      }
      assert.equal(interrupted, 40, 'readers had ended before')
      assert.deepEqual(readFileSync(at('r/data/big')), big)
      assert.ok(readFileSync(image).indexOf(big.subarray(0, 4096)) > 0)
      assert.equal(existsSync(`/proc/${pid}`), true)
      await init.client.kill({ signal: 9, all: true })
      const { code } = await init.client.wait({})
      assert.equal(code, '', 'an interrupted read was taken for an attack or a defect')
    })
  })

  test('serving threads go first where cores are short, and the container does not', async () => {
    await withInit(shell('echo ready; exec sleep 600'), async (init) => {
      const { pid } = await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      const niceness = (path: string): string | undefined =>
        readFileSync(path, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')[16]
      const threads = readdirSync(`/proc/${init.pid}/task`).map((name) => ({
        serves: readFileSync(`/proc/${init.pid}/task/${name}/wchan`, 'utf8').includes('fuse_dev'),
        niceness: niceness(`/proc/${init.pid}/task/${name}/stat`),
      }))
      const serving = threads.filter(({ serves }) => serves)
      assert.deepEqual(new Set(serving.map((thread) => thread.niceness)), new Set(['-5']))
      const others = threads.filter(({ serves }) => !serves)
      assert.deepEqual(new Set(others.map((thread) => thread.niceness)), new Set(['0']))
      assert.equal(niceness(`/proc/${pid}/stat`), '0')
      await init.client.kill({ signal: 9, all: true })
      await init.client.wait({})
    })
  })

  test('a changed byte is EIO for the reader, never other bytes, and ends the container', async () => {
    const chunk = middleChunk(base)
    await changed(spool, 'layer-0.sealed', chunkOffset(chunk) + 100, async () => {
      const script = 'cat /data/big > /tmp/copy; cmp -n 1000000000 /tmp/copy /data/big; sleep 60'
      const result = await run(shell(`echo ready; ${script}`))
      assert.equal(result.code, 'ROOTFS_TAMPERED')
      assert.equal(result.exitCode, 137)
      assert.equal(result.damaged, 'layer-0.sealed')
      assert.match(result.message, new RegExp(`l0, chunk ${chunk} `))
    })
  })

  test('a program that ends by itself on the EIO is reported as tampered all the same', async () => {
    const chunk = middleChunk(base)
    await changed(spool, 'layer-0.sealed', chunkOffset(chunk) + 100, async () => {
      const result = await run(shell('cat /data/big > /dev/null || exit 0'))
      assert.equal(result.code, 'ROOTFS_TAMPERED')
    })
  })

  test('refuses to start on a changed superblock, header, tag table or length', async () => {
    const file = 'layer-0.sealed'
    const path = join(spool, file)
    const { size } = statSync(path)
    const cases: [string, number, string][] = [
      ['superblock', HEADER_BLOCK + 1030, 'ROOTFS_TAMPERED'],
      ['header', 40, 'SEALED_MISMATCH'],
      ['tag', size - 5, 'SEALED_MISMATCH'],
    ]
    for (const [what, offset, code] of cases) {
      await changed(spool, file, offset, async () => {
        const { code: found, details } = await refusal(shell('exit 0'))
        assert.deepEqual([found, details?.damaged], [code, file], what)
      })
    }
    const original = readFileSync(path)
    truncateSync(path, size - CHUNK_SIZE)
    assert.equal((await refusal(shell('exit 0'))).code, 'SEALED_MISMATCH')
    writeFileSync(path, original)
    appendFileSync(path, 'x')
    assert.equal((await refusal(shell('exit 0'))).code, 'SEALED_MISMATCH')
    writeFileSync(path, original)
    // A link to the right bytes is the host's doing too: it could change between open and read.
    renameSync(path, `${path}.moved`)
    symlinkSync(`${path}.moved`, path)
    assert.equal((await refusal(shell('exit 0'))).code, 'SEALED_MISMATCH')
    renameSync(`${path}.moved`, path)
    const wrongKey = layers()
    wrongKey[0]?.key.fill(1)
    assert.equal((await refusal(shell('exit 0'), wrongKey)).code, 'ROOTFS_TAMPERED')
    assert.equal((await run(shell('exit 3'))).exitCode, 3)
  })

  test('a supervisor that dies takes the container and all mounts with it', async () => {
    const config = shell('echo ready; sleep 600 & sleep 600')
    await withInit(config, async (init) => {
      const { pid } = await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      const during = findTraces(init.base, config.cgroupsPath)
      assert.ok(during.mounts.length > 4 && during.cgroups.length > 0, 'the detector sees nothing')
      const connection = connectionOf(during.mounts)
      assert.ok(fuseConnections().includes(connection), 'the detector sees no connection')
      init.hangUp()
      assert.equal(await init.exited, 0)
      assert.ok(!fuseConnections().includes(connection))
      assert.equal(existsSync(`/proc/${pid}`), false)
    })
  })

  test('init killed with SIGKILL leaves nothing once its container was killed', async () => {
    const config = shell('echo ready; exec sleep 600')
    await withInit(config, async (init) => {
      const { pid } = await init.client.start({})
      await eventually(() => init.output().includes('ready'))
      const connection = connectionOf(findTraces(init.base, config.cgroupsPath).mounts)
      process.kill(init.pid, 'SIGKILL')
      // What the supervisor does when init has gone: it knows the pid and the cgroup.
      process.kill(pid, 'SIGKILL')
      assert.equal(await init.exited, 'SIGKILL')
      await eventually(() => removeCgroup(config.cgroupsPath))
      await eventually(() => !fuseConnections().includes(connection))
    })
  })

  test('init stopped before, during and after the handover leaves nothing', async () => {
    const early = await startInit(spool)
    // Its answer shows that the program is up.
    await assert.rejects(early.client.wait({}), { code: 'INIT_STATE' })
    process.kill(early.pid, 'SIGTERM')
    assert.equal(await early.exited, 0)
    await early[Symbol.asyncDispose]()
    await withInit(shell('exit 0'), async (init) => {
      init.hangUp()
      assert.equal(await init.exited, 0)
    })
    await withInit(shell('sleep 600'), async (init) => {
      const starting = init.client.start({}).catch(() => undefined)
      init.hangUp()
      await starting
      assert.equal(await init.exited, 0)
    })
  })

  test('calls out of order are refused, and an init serves one container once', async () => {
    await withInit(shell('exit 0'), async (init) => {
      const order = { code: 'INIT_STATE' }
      await assert.rejects(init.client.wait({}), order)
      await assert.rejects(init.client.begin({ launchId: new Uint8Array(32) }), order)
      await init.client.start({})
      await assert.rejects(init.client.start({}), order)
      await assert.rejects(init.client.handover({ message: new Uint8Array(1) }), order)
      assert.equal((await init.client.wait({})).exitCode, 0)
    })
  })

  test('an init that was launched from other bytes or for other init-data refuses', async () => {
    await using init = await startInit(spool)
    const other = { initData: new Uint8Array(3), manifest: new Uint8Array(3) }
    await assert.rejects(init.client.configure(other), { code: 'INIT_IDENTITY' })
    await assert.rejects(init.client.configure(other), { code: 'INIT_STATE' })
  })

  test('gives volumes a private copy of what the image has there', async () => {
    const script = 'cat /etc/both; echo x > /data2/new && ls /data2; mount | grep -c " /data2 "'
    const result = await run(shell(script, { volumes: ['/data2'] }))
    assert.equal(result.output, 'top\nfrom-image\nnew\n1\n')
  })
})

if (skip !== undefined) console.log(`skip: the root filesystem stack: ${skip}`)

/** The kernel's id of the FUSE connection: the minor number of the mount's device. */
function connectionOf(mountinfo: readonly string[]): string {
  const line = mountinfo.find((entry) => entry.includes(' fuse.sealed ')) ?? ''
  return / 0:(\d+) /.exec(line)?.[1] ?? 'none'
}

function buildTrees(folder: string): void {
  const base = join(folder, 'base')
  for (const name of ['bin', 'etc', 'proc', 'dev', 'sys', 'tmp', 'data', 'data2']) {
    mkdirSync(join(base, name), { recursive: true })
  }
  copyFileSync(busyboxBinary(), join(base, 'bin/busybox'))
  chmodSync(join(base, 'bin/busybox'), 0o755)
  const applets =
    'sh cat id ls hostname grep mount sleep true cmp unshare mknod dd trap pwd echo find'.split(' ')
  for (const applet of applets) symlinkSync('busybox', join(base, 'bin', applet))
  writeFileSync(join(base, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\napp:x:1234:1234::/:/bin/sh\n')
  writeFileSync(join(base, 'etc/group'), 'root:x:0:\napp:x:1234:\nextra:x:77:app\n')
  writeFileSync(join(base, 'etc/both'), 'base\n')
  writeFileSync(join(base, 'etc/removed'), 'gone\n')
  writeFileSync(join(base, 'data2/from-image'), 'x')
  writeFileSync(join(base, 'data/marker'), MARKER.repeat(500))
  writeFileSync(join(base, 'data/big'), randomBytes(8 * 1024 * 1024))
  const top = join(folder, 'top')
  mkdirSync(join(top, 'etc'), { recursive: true })
  writeFileSync(join(top, 'etc/both'), 'top\n')
  writeFileSync(join(top, 'etc/.wh.removed'), '')
}

/** A chunk of `data/big`, which fills the image but for two MiB or so: the middle of it. */
function middleChunk(layer: HandoverLayer): number {
  return Math.floor(parseHeader(layer.header).chunkCount / 2)
}

/** Runs `body` while one bit of the file is another. */
async function changed(
  spool: string,
  file: string,
  offset: number,
  body: () => Promise<void>,
): Promise<void> {
  const fd = openSync(join(spool, file), 'r+')
  const flip = (): void => {
    const byte = new Uint8Array(1)
    readSync(fd, byte, 0, 1, offset)
    byte[0] = (byte[0] ?? 0) ^ 4
    writeSync(fd, byte, 0, 1, offset)
  }
  flip()
  try {
    await body()
  } finally {
    flip()
    closeSync(fd)
  }
}
