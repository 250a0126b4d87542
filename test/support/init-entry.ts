import { initProgram } from '../../src/enclave/init/init-program.ts'

// The init program with places of a test instead of those of a bundle.
const [entry = '', base = '', spool = '', runc = ''] = process.argv.slice(1)
void initProgram({ entry, base, spool, runc, chrooted: false })
