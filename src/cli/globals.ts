import type { OptionSpec } from '#lib/command'

/** Flags that every command takes, before or after its operands. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { flags: '--json', help: 'print exactly one JSON document' },
  { flags: '-q, --quiet', help: 'print no progress and no notes' },
  { flags: '--verbose', help: 'say more' },
  { flags: '--log-level <level>', help: 'error, warn, info or debug (default warn)' },
  { flags: '--log-format <format>', help: 'text or json' },
  { flags: '--progress <kind>', help: 'auto, plain or json (a JSON line for each change)' },
  { flags: '--config <file>', help: 'configuration file' },
  { flags: '--root <dir>', help: 'node data' },
  { flags: '--state <dir>', help: 'sockets and mounts' },
]
