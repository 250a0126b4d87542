// Run in a mount namespace of its own. With a folder: mounts a FUSE filesystem there whose serving thread
// takes a request and never answers, and waits for it. Without: starts that, kills it, lets it go.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { mountFuse } from '#platform/fuse'
import { linuxMounts } from '#platform/mount'
import { abortFuse, isDying } from '../../src/host/launcher/fuse-abort.ts'

const [folder] = process.argv.slice(2)
if (!isMainThread) {
  const request = new Uint8Array(1 << 20)
  const device = workerData as number
  readSync(device, request)
  // the answer to FUSE_INIT: protocol 7.31, small writes, no features
  const answer = new DataView(new ArrayBuffer(80))
  answer.setUint32(0, 80, true)
  answer.setBigUint64(8, new DataView(request.buffer).getBigUint64(8, true), true)
  answer.setUint32(16, 7, true)
  answer.setUint32(20, 31, true)
  answer.setUint32(36, 4096, true)
  writeSync(device, new Uint8Array(answer.buffer))
  for (;;) readSync(device, request)
} else if (folder !== undefined) {
  const device = mountFuse(linuxMounts, folder, 65_536)
  new Worker(new URL(import.meta.url), { workerData: device, argv: [folder] })
  setTimeout(() => statSync(join(folder, 'file')), 300)
} else {
  const place = mkdtempSync(join(tmpdir(), 'enclave-cc-waiter-'))
  const child = spawn(process.execPath, [...process.execArgv, import.meta.filename, place], {
    stdio: 'inherit',
  })
  const pid = child.pid as number
  const gone = once(child, 'exit')
  const waits = (): boolean =>
    readdirSync(`/proc/${pid}/task`).some((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/wchan`, 'utf8').includes('request_wait_answer'),
    )
  while (!waits()) await delay(20)
  // long enough for the serving thread to have taken the request
  await delay(300)
  child.kill('SIGKILL')
  await delay(500)
  console.log(isDying(pid) ? 'killed, and waits for itself' : 'killed, and gone')
  abortFuse(pid)
  await gone
  console.log('gone')
  linuxMounts.unmount(place, { detach: true })
  rmSync(place, { recursive: true })
}
