import { closeSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { linuxMounts } from '#platform/mount'
import { enterPrivateMounts } from '#platform/process'
import { Ground } from '../../src/enclave/init/ground.ts'
import { mountRootfs } from '../../src/enclave/init/rootfs.ts'
import { mountMemoryScratch } from '../../src/enclave/init/scratch.ts'
import { ServePool } from '../../src/enclave/init/serve-pool.ts'
import { runServeWorker } from '../../src/enclave/init/serve-worker.ts'

// Mounts a layer whose serving threads fail at the first chunk, and prints what came of it.
// Arguments: an empty directory, and any file.
async function main(base: string, file: string): Promise<void> {
  enterPrivateMounts()
  const pool = new ServePool(import.meta.filename, 2)
  const ground = await Ground.open({ mounts: linuxMounts, pool, base, spool: dirname(base) })
  const scratch = mountMemoryScratch(ground, { kind: 'tmpfs', size: 65_536 })
  const fd = openSync(file, 'r')
  const header = {
    imageLength: 4096,
    chunkCount: 1,
    fileId: new Uint8Array(16),
    layerId: new Uint8Array(32),
  }
  // No tag at all: the opener takes it for a programmer's mistake and throws.
  const files = [{ name: 'l0', fd, header, key: new Uint8Array(32), tags: new Uint8Array(0) }]
  try {
    mountRootfs({ ground, scratch, files, pool })
    process.stdout.write('mounted\n')
  } catch (error) {
    process.stdout.write(`${(error as { code?: string }).code}\n`)
  }
  await scratch.unmount()
  await ground.close()
  // Descriptors that were closed twice, or not at all, would show here.
  closeSync(openSync(file, 'r'))
}

if (isMainThread) await main(process.argv[2] ?? '', process.argv[3] ?? '')
else runServeWorker()
