import type { Command } from '#lib/command'

/** A first word of the command line and where its commands come from. */
export interface Group {
  readonly summary: string
  /** Loaded only when the word is used: imports cost more than start. */
  load(): Promise<readonly Command[]>
}

const supervisor = async (): Promise<readonly Command[]> =>
  (await import('../host/supervisor/commands.ts')).commands
const launcher = async (): Promise<readonly Command[]> =>
  (await import('../host/launcher/commands.ts')).commands
const cache = async (): Promise<readonly Command[]> =>
  (await import('../host/cache/commands.ts')).commands
const install = async (): Promise<readonly Command[]> =>
  (await import('../host/install/commands.ts')).commands
const bundle = async (): Promise<readonly Command[]> =>
  (await import('../host/bundle/commands.ts')).commands
const image = async (): Promise<readonly Command[]> =>
  (await import('../owner/image/commands.ts')).commands
const layer = async (): Promise<readonly Command[]> =>
  (await import('../owner/layer/commands.ts')).commands
const kbs = async (): Promise<readonly Command[]> =>
  (await import('../owner/kbs/commands.ts')).commands
const attest = async (): Promise<readonly Command[]> =>
  (await import('../owner/attest/commands.ts')).commands

/** Every first word, in the order of `--help`. */
export const GROUPS: Readonly<Record<string, Group>> = {
  run: { summary: 'Run an encrypted, signed image in an attested enclave', load: supervisor },
  ps: { summary: 'List containers', load: supervisor },
  inspect: { summary: 'Show containers in full', load: supervisor },
  logs: { summary: 'Show what a container wrote', load: supervisor },
  wait: { summary: 'Wait until containers end, print their exit codes', load: supervisor },
  stop: { summary: 'Stop containers: TERM, then KILL', load: supervisor },
  kill: { summary: 'Send a signal to containers', load: supervisor },
  rm: { summary: 'Remove containers', load: supervisor },
  attest: { summary: 'Start an agent, attest it, print its token', load: supervisor },
  cache: { summary: 'The sealed layers that this node keeps', load: cache },
  status: { summary: 'Show what runs and waits on this node, and its memory', load: supervisor },
  pool: { summary: 'Enclaves that are started before anybody needs them', load: supervisor },
  platform: { summary: 'The simulated platform of this node', load: launcher },
  doctor: { summary: 'Check what this machine offers', load: install },
  bundle: { summary: 'Build, measure and compare enclave bundles', load: bundle },
  image: { summary: 'Encrypt, sign, copy and inspect images', load: image },
  keygen: { summary: 'Make encryption and signing keys', load: image },
  layer: { summary: 'Inspect, verify, read and seal layers', load: layer },
  kbs: { summary: 'The key broker and its administration', load: kbs },
  quote: { summary: 'Inspect and verify SGX and TDX quotes', load: attest },
  collateral: { summary: 'Fetch, export and import what quotes are verified with', load: attest },
}
