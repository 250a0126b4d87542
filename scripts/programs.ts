/** A program we build: one file each in `dist/`. */
export interface Program {
  readonly name: string
  readonly entry: string
  /** Runs inside the enclave: its file list is `docs/tcb.md`. */
  readonly trusted: boolean
  /** Another program's file that it loads instead of containing it. */
  readonly loads?: string
}

/** Every program, in build order. */
export const PROGRAMS: readonly Program[] = [
  { name: 'agent', entry: 'src/enclave/agent/main.ts', trusted: true },
  { name: 'init', entry: 'src/enclave/init/main.ts', trusted: true },
  { name: 'init-serve', entry: 'src/enclave/init/serve-main.ts', trusted: true },
  { name: 'handover-quote', entry: 'src/enclave/handover/quote-evidence.ts', trusted: true },
  { name: 'supervise', entry: 'src/host/supervisor/main.ts', trusted: false },
  {
    name: 'supervisor',
    entry: 'src/host/supervisor/start.ts',
    trusted: false,
    loads: './supervise.cjs',
  },
  { name: 'cli', entry: 'src/cli/main.ts', trusted: false },
  { name: 'enclave-cc', entry: 'src/cli/start.ts', trusted: false, loads: './cli.cjs' },
]
