export { formatByteSize, parseByteSize } from './byte-size.ts'
export type {
  CacheSettings,
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
