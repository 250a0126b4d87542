import { agentProgram } from '../../src/enclave/agent/agent-program.ts'

// The agent program with places of a test instead of those of a bundle.
const [, spool = '', cache = '', caFile = ''] = process.argv.slice(1)
void agentProgram({ spool, cache, caFile })
