import { join } from 'node:path'
import { buildSync } from 'esbuild'

/**
 * Init's serving thread as one file at `outfile`, made from the sources as they are. A thread that loads the sources
 * themselves takes a quarter of a second of each core to start, which counts where there are a hundred mounts.
 */
export function bundleServeEntry(outfile: string): string {
  buildSync({
    absWorkingDir: join(import.meta.dirname, '../..'),
    entryPoints: ['src/enclave/init/serve-main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    logLevel: 'error',
    logOverride: { 'empty-import-meta': 'silent' },
  })
  return outfile
}
