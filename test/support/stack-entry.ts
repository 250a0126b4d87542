import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { fromHex } from '#lib/bytes'
import { parseLaunchConfig } from '#lib/launch'
import { SystemError } from '#platform/ffi'
import { linuxMounts, type Mounts } from '#platform/mount'
import { becomeSubreaper, enterPrivateMounts, Reaper } from '#platform/process'
import { startContainer } from '../../src/enclave/init/container.ts'
import { ServePool } from '../../src/enclave/init/serve-pool.ts'
import { runServeWorker } from '../../src/enclave/init/serve-worker.ts'

// One container without an enclave around it, on a kernel that seems not to mount EROFS from a file.
// Argument: a JSON file { base, spool, runc, config, layers: [{ key, root, header, file }] } (hex).

const ENOTBLK = 15
const olderKernel: Mounts = {
  mount(request) {
    if (request.type === 'erofs') throw new SystemError('mount', request.target, ENOTBLK)
    linuxMounts.mount(request)
  },
  unmount: (target, options) => linuxMounts.unmount(target, options),
}

async function main(job: string): Promise<void> {
  enterPrivateMounts()
  becomeSubreaper()
  const { config, layers, ...places } = JSON.parse(readFileSync(job, 'utf8'))
  using reaper = new Reaper()
  const alive = setInterval(() => {}, 1000)
  const container = await startContainer({
    ...places,
    mounts: olderKernel,
    reaper,
    pool: new ServePool(import.meta.filename, 2),
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

if (isMainThread) await main(process.argv[2] ?? '')
else runServeWorker()
