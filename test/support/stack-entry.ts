import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { fromHex } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { parseLaunchConfig } from '#lib/launch'
import { SystemError } from '#platform/ffi'
import { linuxMounts, type Mounts } from '#platform/mount'
import { becomeSubreaper, enterPrivateMounts, Reaper } from '#platform/process'
import { startContainer } from '../../src/enclave/init/container.ts'
import { ServePool } from '../../src/enclave/init/serve-pool.ts'
import { runServeWorker } from '../../src/enclave/init/serve-worker.ts'
import { Workspace } from '../../src/enclave/init/workspace.ts'

// One container without an enclave around it, on a kernel that answers mounts of one filesystem with an errno.
// Argument: a JSON file { fault: { type, errno }, base, spool, runc, config, layers: [{ key, root, header,
// file }] } (hex). A refusal is a line `CODE: message` on standard error.

interface Fault {
  readonly type: string
  readonly errno: number
}

const faulty = ({ type, errno }: Fault): Mounts => ({
  mount(request) {
    if (request.type === type) throw new SystemError('mount', `${type} on ${request.target}`, errno)
    linuxMounts.mount(request)
  },
  unmount: (target, options) => linuxMounts.unmount(target, options),
})

async function main(job: string): Promise<void> {
  enterPrivateMounts()
  becomeSubreaper()
  const { config, layers, fault, ...places } = JSON.parse(readFileSync(job, 'utf8'))
  using reaper = new Reaper()
  const alive = setInterval(() => {}, 1000)
  const pool = new ServePool(import.meta.filename, 2)
  const container = await startContainer({
    ...places,
    reaper,
    pool,
    workspace: new Workspace({
      ...places,
      mounts: faulty(fault),
      pool,
      mke2fs: '/usr/sbin/mke2fs',
      cat: '/usr/bin/cat',
    }),
    config: parseLaunchConfig(Buffer.from(JSON.stringify(config))),
    layers: layers.map((layer: Record<'key' | 'root' | 'header' | 'file', string>) => ({
      key: fromHex(layer.key, 'key'),
      root: fromHex(layer.root, 'root'),
      header: fromHex(layer.header, 'header'),
      file: layer.file,
    })),
  })
  const exit = await container.exited
  await container.close()
  clearInterval(alive)
  process.exitCode = exit.code
}

if (isMainThread) {
  try {
    await main(process.argv[2] ?? '')
  } catch (error) {
    if (!isCoded(error)) throw error
    console.error(`${error.code}: ${error.message}`)
    process.exit(1)
  }
} else {
  runServeWorker()
}
