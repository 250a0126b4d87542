import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { release } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { HandoverLayer } from '#lib/handover'
import type { LaunchConfig } from '#lib/launch'
import { CHUNK_SIZE, chunkOffset, parseHeader } from '#lib/sealed'
import { busyboxBinary } from '../support/busybox-image.ts'
import {
  launchOf,
  sealTree,
  startInit,
  type TestInit,
  testFolder,
} from '../support/init-harness.ts'
import { eventually, findTraces, NO_TRACES } from '../support/traces.ts'

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  if (!existsSync('/dev/fuse')) return 'needs /dev/fuse'
  for (const program of ['runc', 'mkfs.erofs']) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `needs ${program}`
  }
  return undefined
}

const skip = missing()

describe('the walls of a container', { skip: skip ?? false }, () => {
  const folder = testFolder()
  const spool = join(folder.path, 'spool')
  const tree = join(folder.path, 'tree')
  let sealed: string
  let layer: HandoverLayer
  let other: HandoverLayer

  before(async () => {
    buildTree(tree)
    layer = await sealTree(tree, spool, 'layer')
    other = await sealTree(tree, spool, 'other')
    sealed = join(spool, layer.file)
  })
  after(() => {
    folder[Symbol.dispose]()
  })

  const shell = (script: string, change: Partial<LaunchConfig> = {}): LaunchConfig =>
    launchOf([layer], ['/bin/sh', '-c', script], change)
  const copy = (used: HandoverLayer): HandoverLayer => ({ ...used, key: used.key.slice() })

  /** Runs `body` with a prepared init and proves afterwards that nothing of it is left. */
  async function withInit(
    config: LaunchConfig,
    body: (init: TestInit) => Promise<void>,
    { use = layer, runc }: { use?: HandoverLayer; runc?: string } = {},
  ): Promise<void> {
    const init = await startInit(spool, runc)
    try {
      await init.prepare([copy(use)], config)
      await body(init)
    } finally {
      await init[Symbol.asyncDispose]()
    }
    const traces = () => findTraces(init.base, config.cgroupsPath)
    await eventually(() => traces().mounts.length === 0 && traces().processes.length === 0)
    assert.deepEqual(traces(), NO_TRACES)
  }

  test('leave no file of the kernel to write, no protection from OOM, and no core', async () => {
    const script =
      'for d in /sys /sys/fs/cgroup /proc/sys; do (: > $d/new) 2>/dev/null && echo new file in $d; done; ' +
      'for f in $(find /sys /proc/sys -type f -perm -200 2>/dev/null | head -3000); do ' +
      '(: >> $f) 2>/dev/null && echo writable $f; done; ' +
      'cat /proc/self/oom_score_adj; grep "core file" /proc/self/limits; cat /proc/keys; ' +
      'grep -E " (/dev|/dev/shm|/vol) " /proc/self/mountinfo | grep -c noswap; exit 0'
    await withInit(shell(script, { volumes: ['/vol'] }), async (init) => {
      await init.client.start({})
      assert.equal((await init.client.wait({})).exitCode, 0)
      const lines = init.output().trim().split('\n')
      const own = Number(readFileSync('/proc/self/oom_score_adj', 'utf8'))
      assert.equal(lines[0], String(Math.max(0, own)))
      // One byte: what the kernel takes for `none` even where cores are piped to a program.
      assert.match(lines[1] ?? '', /core file size +1 +1 +bytes/)
      // Where the kernel can, no tmpfs of the container goes to swap.
      const [major = 0, minor = 0] = release().split('.').map(Number)
      assert.equal(lines[2], major > 6 || (major === 6 && minor >= 4) ? '3' : '0')
      assert.equal(lines.length, 3)
    })
  })

  test('hold for a working directory that is a descriptor of the runtime', async () => {
    for (const cwd of ['/proc/self/fd/7', '/link-to-8']) {
      await withInit(shell('ls', { cwd }), async (init) => {
        await assert.rejects(init.client.start({}), { code: 'CONTAINER_START_FAILED' })
        assert.equal(init.output(), '')
      })
    }
  })

  test('an accounts file that is none refuses the launch by name', async () => {
    const make: Record<string, (path: string) => void> = {
      directory: (path) => mkdirSync(path),
      loop: (path) => symlinkSync('passwd', path),
      fifo: (path) => execFileSync('mkfifo', [path]),
      long: (path) => writeFileSync(path, 'root:x:0:0::/:/bin/sh\n'.repeat(60_000)),
    }
    for (const [name, place] of Object.entries(make)) {
      rmSync(join(tree, 'etc/passwd'), { recursive: true, force: true })
      place(join(tree, 'etc/passwd'))
      const use = await sealTree(tree, spool, `accounts-${name}`)
      const config = launchOf([use], ['/bin/true'])
      await withInit(
        config,
        (init) => assert.rejects(init.client.start({}), { code: 'LAUNCH_USER_UNKNOWN' }, name),
        { use },
      )
    }
  })

  test('what the disk turns into while a container runs is never read as its files', async () => {
    const original = readFileSync(sealed)
    const middle = Math.floor(parseHeader(layer.header).chunkCount / 2)
    const at = chunkOffset(middle)
    const write = (bytes: Uint8Array, offset: number): void => {
      const fd = openSync(sealed, 'r+')
      writeSync(fd, bytes, 0, bytes.length, offset)
      closeSync(fd)
    }
    const chunk = (index: number, path = sealed): Uint8Array => {
      const fd = openSync(path, 'r')
      const bytes = new Uint8Array(CHUNK_SIZE)
      readSync(fd, bytes, 0, CHUNK_SIZE, chunkOffset(index))
      closeSync(fd)
      return bytes
    }
    const harms: Record<string, () => void> = {
      zero: () => write(new Uint8Array(CHUNK_SIZE), at),
      swap: () => {
        const [one, two] = [chunk(middle), chunk(middle + 1)]
        write(two, at)
        write(one, at + CHUNK_SIZE)
      },
      replay: () => write(chunk(middle, join(spool, other.file)), at),
      truncate: () => truncateSync(sealed, at + 5),
    }
    for (const [name, harm] of Object.entries(harms)) {
      // The program asks for the data only when it is told to.
      const script =
        'trap "cat /data/big; exit 0" USR1; echo ready; while :; do sleep 1 & wait; done'
      try {
        await withInit(shell(script), async (init) => {
          await init.client.start({})
          await eventually(() => init.output().includes('ready'))
          harm()
          await init.client.kill({ signal: 10, all: false })
          assert.equal((await init.client.wait({})).code, 'ROOTFS_TAMPERED', name)
          const read = init.output().slice('ready\n'.length)
          const genuine = readFileSync(join(tree, 'data/big'), 'latin1')
          assert.ok(genuine.startsWith(read), `${name}: other bytes were read`)
          assert.ok(read.length < genuine.length, name)
        })
      } finally {
        writeFileSync(sealed, original)
      }
    }
  })

  test('a shutdown while the runtime hangs ends it, and nothing is left', async () => {
    const runc = join(folder.path, 'hanging-runc')
    writeFileSync(runc, '#!/bin/sh\ncase "$*" in *--detach*) touch "$0.on"; sleep 600;; esac\n')
    chmodSync(runc, 0o755)
    await withInit(
      shell('exit 0'),
      async (init) => {
        const start = assert.rejects(init.client.start({}), { code: 'CONTAINER_START_FAILED' })
        await eventually(() => existsSync(`${runc}.on`))
        const before = performance.now()
        await init.client.shutdown({})
        await start
        assert.equal(await init.exited, 0)
        // The watchdog would end it too, but only after 15 seconds and with a signal.
        assert.ok(performance.now() - before < 14_000)
      },
      { runc },
    )
  })

  test('a start that failed and cannot be taken down ends all the same, and leaves nothing', async () => {
    const runc = join(folder.path, 'stuck-runc')
    writeFileSync(runc, '#!/bin/sh\ncase "$*" in *--detach*) exit 1;; esac; exec sleep 600\n')
    chmodSync(runc, 0o755)
    await withInit(
      shell('exit 0'),
      async (init) => {
        const start = assert.rejects(init.client.start({}), { code: 'TTRPC_CLOSED' })
        const late = delay(40_000, 'late', { ref: false })
        assert.notEqual(await Promise.race([init.exited, late]), 'late')
        await start
      },
      { runc },
    )
  })

  test('a serving thread that fails while the layer is mounted fails the mount', async () => {
    const entry = join(import.meta.dirname, '../support/crash-entry.ts')
    const args = [
      '--disable-warning=ExperimentalWarning',
      entry,
      join(folder.path, 'crash'),
      sealed,
    ]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString()
    })
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      abortConnection(child.pid)
    }, 30_000)
    const code = await new Promise((resolve) => child.once('close', resolve))
    clearTimeout(timer)
    assert.equal(output, 'ROOTFS_MOUNT_FAILED\n')
    assert.equal(code, 0)
  })
})

if (skip !== undefined) console.log(`skip: the walls of a container: ${skip}`)

/** A process that waits for its own answer does not die of a signal: its connection has to end. */
function abortConnection(pid: number | undefined): void {
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n')
  const line = mounts.find((entry) => entry.includes(' fuse.sealed ')) ?? ''
  const connection = / 0:(\d+) /.exec(line)?.[1] ?? 'none'
  const folder = '/sys/fs/fuse/connections'
  const script = `mount -t fusectl fusectl ${folder}; echo 1 > ${folder}/${connection}/abort`
  spawnSync('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script])
}

function buildTree(tree: string): void {
  for (const name of ['bin', 'etc', 'proc', 'dev', 'sys', 'tmp', 'data']) {
    mkdirSync(join(tree, name), { recursive: true })
  }
  copyFileSync(busyboxBinary(), join(tree, 'bin/busybox'))
  chmodSync(join(tree, 'bin/busybox'), 0o755)
  for (const applet of 'sh cat ls grep find head sleep true'.split(' ')) {
    symlinkSync('busybox', join(tree, 'bin', applet))
  }
  symlinkSync('/proc/self/fd/8', join(tree, 'link-to-8'))
  writeFileSync(join(tree, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n')
  // Printable, so that what comes out can be compared as text.
  writeFileSync(join(tree, 'data/big'), randomBytes(2 * 1024 * 1024).toString('hex'))
}
