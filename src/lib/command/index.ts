export type {
  Command,
  CommandContext,
  CommandInput,
  OptionSpec,
  Outcome,
  Places,
  PoolSettings,
} from './command.ts'
export { printable } from './printable.ts'
export type { Progress } from './progress.ts'
