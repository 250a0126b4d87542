import type { Progress } from './progress.ts'

/** One flag of a command, in commander's notation: `-e, --env <k=v>` or `--all`. */
export interface OptionSpec {
  /** `-d, --detach` (boolean) or `--name <name>` (takes a value). */
  readonly flags: string
  readonly help: string
  /** The flag may repeat; its value is then an array, `[]` when absent. */
  readonly repeat?: boolean
  /** Environment variable that fills the flag where it is absent. */
  readonly env?: string
}

/**
 * One command of the `enclave-cc` program. A party lists its commands in its `commands.ts`; the
 * door (`src/cli`) parses the line, calls `run` and prints the outcome.
 */
export interface Command {
  /** `['kbs', 'resource', 'set']` */
  readonly path: readonly string[]
  readonly summary: string
  /** Operands in commander's notation, e.g. `<uri> <file>` or `<image> [command...]`. */
  readonly operands?: string
  readonly options?: readonly OptionSpec[]
  /** One working command line, shown by `--help`. */
  readonly example: string
  /** Flags end at the first operand, as in `docker run`. */
  readonly passThrough?: boolean
  run(context: CommandContext, input: CommandInput): Promise<Outcome>
}

/** What the command line said. Names of flags are their long names, e.g. `input.text('kbs-url')`. */
export interface CommandInput {
  /** Operands in order; a variadic one adds each of its values. */
  readonly operands: readonly string[]
  /** The flag's value, or undefined. Throws TypeError on a flag the command does not declare. */
  text(flag: string): string | undefined
  /** True if the boolean flag was given. */
  flag(flag: string): boolean
  /** All values of a repeatable flag. */
  list(flag: string): readonly string[]
}

/** Places of `docs/cli.md`, resolved from flag, environment, configuration file and default. */
export interface Places {
  /** Node data, `/var/lib/enclave-cc`. */
  readonly root: string
  /** Sockets, pids and mounts, `/run/enclave-cc`. */
  readonly state: string
  /** Broker data, `/var/lib/enclave-cc-kbs`; `kbs` commands take `--data-dir` over it. */
  readonly kbsData: string
  /** Broker as clients see it; undefined if nothing names it (then `https://127.0.0.1:8080`). */
  readonly kbsUrl: string | undefined
  /** CA file of the broker; undefined if nothing names it (then `kbsData/tls/ca.pem`). */
  readonly kbsCa: string | undefined
  /** Init-data handed to new enclaves. */
  readonly initData: string
  /** Admin token file; undefined if nothing names it. */
  readonly adminTokenFile: string | undefined
}

/** What this node keeps of sealed layers (docs/formats/cache-record.md). */
export interface CacheSettings {
  /** Bytes; 0: none at all. */
  readonly maxSize: number
}

/** How many enclaves this node keeps ready (docs/pool.md). */
export interface PoolSettings {
  /** Spares for each kind of pod; 0 switches the pool off. */
  readonly size: number
  /** Milliseconds that spares outlive the last container. */
  readonly linger: number
}

/** Everything a command may touch besides its input. Nothing below the door reads the environment. */
export interface CommandContext {
  readonly places: Places
  readonly pool: PoolSettings
  readonly cache: CacheSettings
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by SIGINT and SIGTERM; commands clean up and throw `signal.reason`. */
  readonly signal: AbortSignal
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  /** Where built programs (`agent.cjs`, …) and the node binary lie. */
  readonly program: { readonly dist: string; readonly node: string; readonly version: string }
  /** Writes result bytes at once; only for commands that follow (`logs -f`, `kbs serve`). */
  stdout(chunk: string | Uint8Array): void
  /** Writes a line of explanation to stderr unless `--quiet`. */
  note(line: string): void
  /** Writes a line to stderr, `--quiet` or not; for warnings that must be seen. */
  warn(line: string): void
  /** Structured diagnostic line on stderr, subject to `--log-level`. */
  log(level: 'error' | 'warn' | 'info' | 'debug', fields: Readonly<Record<string, unknown>>): void
  /** Progress of one step: a bar on a terminal, else one line a step. */
  progress(label: string): Progress
  /** All of standard input. Throws CodedError INPUT_UNREADABLE where it has more than `max` bytes. */
  stdin(max: number): Promise<Uint8Array>
}

/** What a command leaves for the door to print. */
export interface Outcome {
  /** The one JSON document of `--json`. */
  readonly document?: unknown
  /** What people read without `--json`; printed with a newline at its end. Default: the document, indented. */
  readonly text?: string
  /** Raw bytes for stdout without `--json` (for example a resource). */
  readonly bytes?: Uint8Array
  /** Raw bytes of any length in place of `bytes`; what fails on the way is reported after what was printed. */
  readonly stream?: AsyncIterable<Uint8Array>
  /** Default 0. Verdict commands use 1 for no. */
  readonly exitCode?: number
}
