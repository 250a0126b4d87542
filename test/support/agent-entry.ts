import { join } from 'node:path'
import { agentProgram } from '../../src/enclave/agent/agent-program.ts'

// The agent program with places of a test instead of those of a bundle.
const [, spool = '', cache = '', caFile = ''] = process.argv.slice(1)
const quoteProgram = join(import.meta.dirname, '../../src/enclave/handover/quote-evidence.ts')
void agentProgram({ spool, cache, caFile, quoteProgram })
