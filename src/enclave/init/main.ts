import { initProgram } from './init-program.ts'

// Paths inside the bundle and its private mounts; nothing of a pod is in argument or environment.
void initProgram({
  serveEntry: '/usr/lib/enclave-cc/init-serve.cjs',
  quoteProgram: '/usr/lib/enclave-cc/handover-quote.cjs',
  chrooted: true,
  runc: '/usr/sbin/runc',
  mke2fs: '/usr/sbin/mke2fs',
  cat: '/usr/bin/cat',
  base: '/run/init',
  spool: '/spool',
  cache: '/layers',
})
