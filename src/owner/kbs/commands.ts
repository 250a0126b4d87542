import type { Command, CommandContext, CommandInput, OptionSpec, Outcome } from '#lib/command'

// The door loads this file for help too, so what a command needs is imported when it runs.

type Action = (context: CommandContext, input: CommandInput) => Promise<Outcome>

const DATA_DIR: OptionSpec = { flags: '--data-dir <dir>', help: 'where the broker keeps its data' }
const BROKER: readonly OptionSpec[] = [
  { flags: '--kbs-url <url>', help: 'the broker as clients reach it' },
  { flags: '--kbs-ca <file>', help: 'CA of the broker, exclusive (default DATA-DIR/tls/ca.pem)' },
  { flags: '--data-dir <dir>', help: 'data of a broker on this machine' },
]
const ADMIN: readonly OptionSpec[] = [
  ...BROKER,
  { flags: '--admin-token-file <file>', help: 'admin token (default DATA-DIR/admin.token)' },
]

/** All commands of `enclave-cc kbs`. */
export const commands: readonly Command[] = [
  {
    path: ['kbs', 'init'],
    summary: 'Make a broker: keys, TLS certificate, admin token; it trusts no platform yet',
    options: [
      DATA_DIR,
      { flags: '--listen <address>', help: 'ADDRESS:PORT to listen on (default 127.0.0.1:8080)' },
      { flags: '--kbs-url <url>', help: 'the broker as enclaves reach it (default from --listen)' },
      { flags: '--name <host>', help: 'further name or address of the certificate', repeat: true },
    ],
    example: 'enclave-cc kbs init --data-dir ./kbs --listen 127.0.0.1:8080',
    run: serverAction((m) => m.init),
  },
  {
    path: ['kbs', 'serve'],
    summary: 'Run the broker; SIGTERM drains, SIGHUP reloads the TLS certificate',
    options: [
      DATA_DIR,
      { flags: '--listen <address>', help: 'ADDRESS:PORT instead of that of kbs init' },
      { flags: '--tls-cert <file>', help: 'certificate chain instead of the own one' },
      { flags: '--tls-key <file>', help: 'key of --tls-cert' },
      { flags: '--collateral <dir>', help: 'collateral of platforms that send none' },
      { flags: '--collateral-grace <days>', help: 'take expired collateral so long, at most 7' },
      { flags: '--insecure-http', help: 'plain HTTP; no enclave of ours will connect' },
    ],
    example: 'enclave-cc kbs serve --data-dir ./kbs',
    run: serverAction((m) => m.serve),
  },
  {
    path: ['kbs', 'init-data'],
    summary: 'Print the document that binds an enclave to this broker and a namespace',
    options: [{ flags: '--namespace <ns>', help: 'first segment of every resource' }, ...BROKER],
    example: 'enclave-cc kbs init-data --namespace acme > init-data.toml',
    run: serverAction((m) => m.initData),
  },
  admin('resource set', '<uri> <file>', 'Set a resource from a file, or - for standard input', {
    example: 'enclave-cc kbs resource set kbs:///acme/note/hello ./note.txt',
    options: [{ flags: '--create', help: 'fail if it exists' }],
    run: adminAction((m) => m.resourceSet),
  }),
  admin('resource get', '<uri>', 'Print a resource, or write it to a file', {
    example: 'enclave-cc kbs resource get kbs:///acme/note/hello',
    options: [
      { flags: '-o, --out <file>', help: 'write it there, mode 0600' },
      { flags: '--version-number <n>', help: 'an older version' },
      { flags: '--force', help: 'overwrite --out' },
    ],
    run: adminAction((m) => m.resourceGet),
  }),
  admin('resource list', '[prefix]', 'List resources', {
    example: 'enclave-cc kbs resource list kbs:///acme/',
    run: adminAction((m) => m.resourceList),
  }),
  admin('resource delete', '<uri>', 'Delete a resource; its versions stay in the history', {
    example: 'enclave-cc kbs resource delete kbs:///acme/note/hello',
    run: adminAction((m) => m.resourceDelete),
  }),
  admin('resource history', '<uri>', 'List the versions of a resource', {
    example: 'enclave-cc kbs resource history kbs:///acme/note/hello',
    run: adminAction((m) => m.resourceHistory),
  }),
  admin('resource rollback', '<uri> <version>', 'Make an older version the current one', {
    example: 'enclave-cc kbs resource rollback kbs:///acme/note/hello 1',
    run: adminAction((m) => m.resourceRollback),
  }),
  admin('reference set', '', 'Accept an enclave: the agent of a bundle, or by its measurement', {
    example: 'enclave-cc kbs reference set --bundle ./bundle --name release-1',
    options: [
      { flags: '--bundle <dir>', help: 'bundle with agent.json' },
      { flags: '--mrenclave <hex>', help: 'exactly this build' },
      { flags: '--mrsigner <hex>', help: 'any build of this signer, with the two flags below' },
      { flags: '--isv-prod-id <n>', help: 'product id' },
      { flags: '--min-isv-svn <n>', help: 'lowest security version' },
      { flags: '--name <name>', help: 'how explanations call it (default agent-MEASUREMENT)' },
    ],
    run: adminAction((m) => m.referenceSet),
  }),
  admin('reference list', '', 'List the reference values', {
    example: 'enclave-cc kbs reference list',
    run: adminAction((m) => m.referenceList),
  }),
  admin('reference delete', '<name>', 'Accept these enclaves no more; takes effect at once', {
    example: 'enclave-cc kbs reference delete release-1',
    run: adminAction((m) => m.referenceDelete),
  }),
  admin('root add', '<file>', 'Trust a root of platforms', {
    example: 'enclave-cc kbs root add platform-root.pem --platform simulated',
    options: [
      { flags: '--platform <kind>', help: 'simulated or sgx' },
      { flags: '--namespace <ns>', help: 'only for enclaves of this namespace (default all)' },
    ],
    run: adminAction((m) => m.rootAdd),
  }),
  admin('root list', '', 'List the trusted roots', {
    example: 'enclave-cc kbs root list',
    run: adminAction((m) => m.rootList),
  }),
  admin('root delete', '<id>', 'Trust a root no more', {
    example: 'enclave-cc kbs root delete 0123456789abcdef',
    run: adminAction((m) => m.rootDelete),
  }),
  admin('policy set', '<kind> <file>', 'Set the policy appraise, release or launch', {
    example: 'enclave-cc kbs policy set launch ./launch.cedar',
    run: adminAction((m) => m.policySet),
  }),
  admin('policy get', '<kind>', 'Print the policy in force', {
    example: 'enclave-cc kbs policy get appraise',
    run: adminAction((m) => m.policyGet),
  }),
  admin('policy test', '<kind>', 'Ask a policy; exit 0 allow, 1 deny', {
    example: 'enclave-cc kbs policy test launch --request request.json',
    options: [
      { flags: '--request <file>', help: 'the question as JSON (docs/policy.md), or -' },
      { flags: '--policy <file>', help: 'ask this text instead of the one in force' },
    ],
    run: adminAction((m) => m.policyTest),
  }),
  admin('explain', '<id>', 'Say why a decision came out as it did', {
    example: 'enclave-cc kbs explain 0123456789abcdef',
    run: adminAction((m) => m.explain),
  }),
  admin('status', '', 'Show what the broker trusts and holds', {
    example: 'enclave-cc kbs status',
    run: adminAction((m) => m.status),
  }),
  admin('audit verify', '[file]', 'Check the audit log: of the broker, or an exported file', {
    example: 'enclave-cc kbs audit verify --head head.json',
    options: [
      { flags: '--head <file>', help: 'a signed head that someone kept', repeat: true },
      { flags: '--key <file>', help: 'keys/audit.pub.pem of the broker (default from DATA-DIR)' },
    ],
    run: auditAction((m) => m.auditVerify),
  }),
  admin('audit export', '', 'Print the audit log as JSON lines, its signed head last', {
    example: 'enclave-cc kbs audit export > audit.jsonl',
    run: auditAction((m) => m.auditExport),
  }),
  admin('token create', '', 'Make an admin token and print it once', {
    example: 'enclave-cc kbs token create --role auditor --ttl 24h',
    options: [
      { flags: '--role <role>', help: 'admin, or auditor (reads all but resource values)' },
      { flags: '--ttl <time>', help: 'such as 90s, 30m, 24h, 7d' },
    ],
    run: adminAction((m) => m.tokenCreate),
  }),
]

function admin(
  words: string,
  operands: string,
  summary: string,
  rest: { example: string; options?: readonly OptionSpec[]; run: Action },
): Command {
  return {
    path: ['kbs', ...words.split(' ')],
    summary,
    ...(operands === '' ? {} : { operands }),
    example: rest.example,
    options: [...(rest.options ?? []), ...ADMIN],
    run: rest.run,
  }
}

function serverAction(pick: (m: typeof import('./server-commands.ts')) => Action): Action {
  return async (context, input) => pick(await import('./server-commands.ts'))(context, input)
}

function adminAction(pick: (m: typeof import('./admin-commands.ts')) => Action): Action {
  return async (context, input) => pick(await import('./admin-commands.ts'))(context, input)
}

function auditAction(pick: (m: typeof import('./audit-commands.ts')) => Action): Action {
  return async (context, input) => pick(await import('./audit-commands.ts'))(context, input)
}
