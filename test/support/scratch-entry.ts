import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { linuxMounts } from '#platform/mount'
import { enterPrivateMounts } from '#platform/process'
import { punchHole } from '#platform/sparse-file'
import { Ground } from '../../src/enclave/init/ground.ts'
import { trimScratch } from '../../src/enclave/init/scratch-trim.ts'
import { ServePool } from '../../src/enclave/init/serve-pool.ts'
import { runServeWorker } from '../../src/enclave/init/serve-worker.ts'
import { Workspace } from '../../src/enclave/init/workspace.ts'

// The encrypted scratch alone, without image and container, in a mount namespace of its own.
// Arguments: what to do, an empty folder, and what that needs. The result is one line of JSON.

const SIZE = 256 * 1024 * 1024

/** A generator of numbers that is the same for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** Writes, reads and makes holes at any offset, and compares with an array. Returns how often it compared. */
function againstModel(path: string, from: number, length: number, seed: number): number {
  const next = numbers(seed)
  const model = new Uint8Array(length)
  const fd = openSync(path, 'r+')
  let compared = 0
  for (let step = 0; step < 600; step += 1) {
    const offset = next(length)
    const size = Math.min(1 + next(next(4) === 0 ? 400_000 : 9000), length - offset)
    const kind = next(8)
    if (kind < 4) {
      const data = new Uint8Array(size).fill(1 + next(255))
      writeSync(fd, data, 0, size, from + offset)
      model.set(data, offset)
    } else if (kind === 4) {
      if (!punchHole(fd, from + offset, size)) throw new Error('no hole could be made')
      model.fill(0, offset, offset + size)
    } else {
      const data = Buffer.alloc(size)
      const got = readSync(fd, data, 0, size, from + offset)
      if (got !== size || !data.equals(model.subarray(offset, offset + size))) {
        throw new Error(`step ${step}: other bytes at ${from + offset}, ${size} long`)
      }
      compared += 1
    }
    if (next(50) === 0) fsyncSync(fd)
    if (next(200) === 0) execFileSync('sh', ['-c', 'sync; echo 1 > /proc/sys/vm/drop_caches'])
  }
  closeSync(fd)
  return compared
}

async function main(what: string, folder: string, argument: string): Promise<unknown> {
  enterPrivateMounts()
  const pool = new ServePool(import.meta.filename, 2)
  const [base, spool] = [join(folder, 'base'), join(folder, 'spool')]
  mkdirSync(spool, { recursive: true })
  const places = { mounts: linuxMounts, pool, base, spool }
  if (what === 'file') {
    // The FUSE file itself: offsets and lengths that no filesystem above would ask for.
    const ground = await Ground.open(places, SIZE)
    const compared = inTwo(ground.scratchFile ?? '')
    await ground.close()
    return { compared, trouble: pool.trouble?.kind ?? '' }
  }
  const tools = { mke2fs: '/usr/sbin/mke2fs', cat: '/usr/bin/cat' }
  const workspace = new Workspace({ ...places, ...tools })
  // The threads are there long before in a pod: what is measured is the scratch alone.
  await pool.ready()
  const started = performance.now()
  const { ground, scratch } = await workspace.open({ kind: 'disk', size: SIZE })
  const share = ground.scratchShare
  if (share === undefined) throw new Error('there is no scratch')
  const held = (): number => fstatSync(share.fd).blocks * 512
  const opened = performance.now() - started
  let result: object = {}
  if (what === 'model') {
    const file = join(scratch.path, 'file')
    const fd = openSync(file, 'w')
    ftruncateSync(fd, 16 * 1024 * 1024)
    closeSync(fd)
    result = { compared: inTwo(file) }
  } else if (what === 'untar') {
    const target = join(scratch.path, 'tree')
    mkdirSync(target)
    execFileSync('tar', ['-C', target, '-xf', argument])
    execFileSync('sh', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches'])
    const { status, stdout } = spawnSync(
      'diff',
      ['-r', '--no-dereference', join(folder, 'plain'), target],
      { encoding: 'utf8' },
    )
    const files = readdirSync(target, { recursive: true }).length
    execFileSync('rm', ['-r', target])
    result = { status, differences: stdout, files }
  } else if (what === 'trim') {
    const [big, small] = [join(scratch.path, 'big'), join(scratch.path, 'small')]
    writeFileSync(big, new Uint8Array(120e6).fill(7))
    writeFileSync(small, 'kept')
    execFileSync('sync')
    const written = held()
    rmSync(big)
    execFileSync('sync')
    await trimScratch(scratch.path, share)
    execFileSync('sh', ['-c', 'echo 3 > /proc/sys/vm/drop_caches'])
    result = { written, trimmed: held(), kept: readFileSync(small, 'utf8') === 'kept' }
  } else if (what === 'abandon') {
    writeFileSync(join(scratch.path, 'x'), new Uint8Array(200e6).fill(7))
    result = { before: held() }
  }
  const dup = openSync(`/proc/self/fd/${share.fd}`, 'r')
  const before = performance.now()
  await workspace.close()
  const closed = performance.now() - before
  return {
    ...result,
    opened,
    closed,
    after: fstatSync(dup).blocks * 512,
    trouble: pool.trouble?.kind ?? '',
  }
}

// One process a half, at the same time: they share chunks of neither file nor locks, but the threads.
function inTwo(file: string): number {
  const node = ['--disable-warning=ExperimentalWarning', import.meta.filename]
  const half = 8 * 1024 * 1024
  const script = [0, 1].map((i) => `"$0" "$@" part ${file} ${i * half + 1000 * i} &`).join(' ')
  const ran = spawnSync('sh', ['-c', `${script} wait`, process.execPath, ...node], {
    encoding: 'utf8',
  })
  const lines = ran.stdout.trim().split('\n')
  if (lines.length !== 2) throw new Error(`${ran.stdout}${ran.stderr}`)
  return lines.reduce((sum, line) => sum + Number(line), 0)
}

if (!isMainThread) runServeWorker()
else if (process.argv[2] === 'part') {
  const from = Number(process.argv[4])
  const seed = 77 + from
  process.stdout.write(
    `${againstModel(process.argv[3] ?? '', from, 8 * 1024 * 1024 - 2000, seed)}\n`,
  )
} else {
  const result = await main(process.argv[2] ?? '', process.argv[3] ?? '', process.argv[4] ?? '')
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
