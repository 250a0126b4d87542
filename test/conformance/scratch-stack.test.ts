import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
} from 'node:fs'
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
    for (const name of 'sh cat dd ls rm sync sleep cmp df echo mkdir touch stat grep'.split(' ')) {
      symlinkSync('busybox', join(tree, 'bin', name))
    }
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
  ): Promise<void> {
    const init = await startInit(spool)
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
    let result = { exitCode: -1, signal: 0, code: '', message: '', output: '', errors: '' }
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

  test('init killed at any moment of its preparation leaves no mount, device or process', async () => {
    for (const wait of [0, 10, 20, 40, 60, 80, 120, 200]) {
      const init = await startInit(spool)
      await init.configure()
      await init.client.prepareScratch({ size: BigInt(SIZE) })
      await new Promise((resolve) => setTimeout(resolve, wait))
      process.kill(init.pid, 'SIGKILL')
      assert.equal(await init.exited, 'SIGKILL')
      await init[Symbol.asyncDispose]()
      await eventually(() => scratchLoops().length === 0)
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
      assert.equal(scratchLoops().length, 1, 'the detector sees nothing')
      process.kill(init.pid, 'SIGKILL')
      process.kill(pid, 'SIGKILL')
      assert.equal(await init.exited, 'SIGKILL')
      await eventually(() => removeCgroup(config.cgroupsPath))
      await eventually(() => scratchLoops().length === 0)
    })
  })
})

/** Loop devices whose backing file is the scratch of some init. */
function scratchLoops(): string[] {
  return readdirSync('/sys/block').filter((name) => {
    try {
      return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').includes('/f/scratch')
    } catch {
      return false
    }
  })
}
