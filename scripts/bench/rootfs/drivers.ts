import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'

const ENVIRONMENT = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  // What Python compiled lies in the tree; nothing may be written beside it.
  PYTHONDONTWRITEBYTECODE: '1',
}

/** Writes back and forgets what the kernel caches of files, folders and names. */
export function dropCaches(): void {
  execFileSync('sync')
  writeFileSync('/proc/sys/vm/drop_caches', '3')
}

/** Milliseconds that a command takes from its start to its end; throws if it fails. */
export async function timed(line: readonly string[]): Promise<number> {
  const [program = '', ...args] = line
  const nowhere = openSync('/dev/null', 'r+')
  try {
    const begin = performance.now()
    const child = spawn(program, args, {
      stdio: [nowhere, nowhere, 'pipe'],
      env: ENVIRONMENT,
    })
    let errors = ''
    child.stderr?.on('data', (chunk) => {
      errors += String(chunk)
    })
    const [code] = (await once(child, 'close')) as [number | null]
    const time = performance.now() - begin
    if (code !== 0) throw new Error(`${line.join(' ')}: exit code ${code}\n${errors}`)
    return time
  } finally {
    closeSync(nowhere)
  }
}

/** What a command prints; throws if it fails. */
export function printed([program = '', ...args]: readonly string[]): string {
  return execFileSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: ENVIRONMENT,
  })
}

/** What fio is to do with one file. */
export interface FioJob {
  readonly file: string
  readonly rw: 'read' | 'randread' | 'write' | 'randwrite'
  readonly blockSize: number
  readonly threads?: number
  /** Operations of each thread; without it the whole file once. */
  readonly operations?: number
  /** For writes: bytes of the file. */
  readonly size?: number
  /** fdatasync(2) after every so many writes. */
  readonly syncEvery?: number
  /** fsync(2) at the end counts. */
  readonly syncAtEnd?: boolean
}

/** What fio measured, of all threads together. */
export interface FioResult {
  readonly bytesPerSecond: number
  readonly operationsPerSecond: number
  /** Of the whole job, an fsync at its end too. */
  readonly seconds: number
}

/** One run of fio: pread(2) and pwrite(2) one after another in each thread, offsets of a fixed seed. */
export function fio(job: FioJob): FioResult {
  const writes = job.rw.endsWith('write')
  const line = [
    ...['--name=bench', '--output-format=json', `--filename=${job.file}`, `--rw=${job.rw}`],
    ...[`--bs=${job.blockSize}`, '--ioengine=psync', '--thread', '--group_reporting'],
    ...[`--numjobs=${job.threads ?? 1}`, '--randrepeat=1'],
    // The kernel's cache is as the row's name says, and programs do not announce how they will read.
    ...['--invalidate=0', '--fadvise_hint=0', ...(writes ? [] : ['--readonly'])],
    ...(job.operations === undefined ? [] : [`--number_ios=${job.operations}`]),
    ...(job.size === undefined ? [] : [`--size=${job.size}`]),
    ...(job.syncEvery === undefined ? [] : [`--fdatasync=${job.syncEvery}`]),
    ...(job.syncAtEnd === true ? ['--end_fsync=1'] : []),
  ]
  const text = execFileSync('fio', line, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const { jobs } = JSON.parse(text.slice(text.indexOf('{'))) as {
    jobs: (Record<'read' | 'write', { bw_bytes: number; iops: number }> & { job_runtime: number })[]
  }
  const [done] = jobs
  if (done === undefined) throw new Error('fio reported no job')
  const side = done[writes ? 'write' : 'read']
  const seconds = done.job_runtime / 1000
  return { bytesPerSecond: side.bw_bytes, operationsPerSecond: side.iops, seconds }
}
