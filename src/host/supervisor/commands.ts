import type { Command } from '#lib/command'
import { attest } from './commands/attest.ts'
import { inspect } from './commands/inspect.ts'
import { kill, rm, stop, wait } from './commands/life-cycle.ts'
import { logs } from './commands/logs.ts'
import { poolDrain } from './commands/pool-drain.ts'
import { ps } from './commands/ps.ts'
import { run } from './commands/run.ts'
import { status } from './commands/status.ts'

/** Commands of the supervisor. */
export const commands: readonly Command[] = [
  run,
  ps,
  inspect,
  logs,
  wait,
  stop,
  kill,
  rm,
  attest,
  status,
  poolDrain,
]
