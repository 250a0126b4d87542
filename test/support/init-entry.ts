import { join } from 'node:path'
import { initProgram } from '../../src/enclave/init/init-program.ts'

// The init program with places of a test instead of those of a bundle.
const [, base = '', spool = '', runc = '', mke2fs = '', serveEntry = ''] = process.argv.slice(1)
const quoteProgram = join(import.meta.dirname, '../../src/enclave/handover/quote-evidence.ts')
void initProgram({
  serveEntry,
  quoteProgram,
  base,
  spool,
  cache: spool,
  runc,
  mke2fs,
  cat: '/usr/bin/cat',
  chrooted: false,
})
