import { agentProgram } from './agent-program.ts'

// Paths inside the bundle and its private mounts; nothing of a pod is in argument or environment.
void agentProgram({
  spool: '/spool',
  cache: '/layers',
  caFile: '/etc/ssl/certs/ca-certificates.crt',
  quoteProgram: '/usr/lib/enclave-cc/handover-quote.cjs',
})
