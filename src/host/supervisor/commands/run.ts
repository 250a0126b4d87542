import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { toHex } from '#lib/bytes'
import type { Command, CommandContext, CommandInput, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import { mrEnclave } from '#lib/manifest'
import { CGROUP_PARENT } from '../cgroup.ts'
import type { JobEvent, RunJob } from '../job.ts'
import { processStart } from '../process-start.ts'
import { openInputs, type StartedJob, startJob } from '../start-job.ts'
import { ContainerStore } from '../store.ts'
import { containerName, newId } from './container-name.ts'
import { envFileLines, parseEnv } from './env-file.ts'
import { JobProgress } from './job-progress.ts'
import { as125, banner, checkTee, ENCLAVE_OPTIONS, errorOf } from './shared.ts'

const FORWARDED = ['SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const

/** `run`: one container, with the habits of docker users. */
export const run: Command = {
  path: ['run'],
  summary: 'Run an encrypted, signed image in an attested enclave',
  operands: '<image> [command...]',
  passThrough: true,
  options: [
    { flags: '-d, --detach', help: 'print the id and return' },
    { flags: '--rm', help: 'remove the container when it ends' },
    { flags: '-i, --interactive', help: 'keep standard input open (not built yet)' },
    { flags: '-t, --tty', help: 'allocate a terminal (not built yet)' },
    { flags: '--name <name>', help: 'name of the container' },
    { flags: '-e, --env <k[=v]>', help: 'ask for a variable; the owner decides', repeat: true },
    { flags: '--env-file <file>', help: 'ask for the variables of a file', repeat: true },
    { flags: '-v, --volume <src:dst>', help: 'ask for a mount (not built yet)', repeat: true },
    { flags: '-p, --publish <ports>', help: 'publish ports (not built yet)', repeat: true },
    { flags: '--network <name>', help: 'host (the only one so far)' },
    { flags: '-w, --workdir <dir>', help: 'ask for a working directory' },
    { flags: '-u, --user <user>', help: 'ask for a user' },
    { flags: '--entrypoint <program>', help: 'ask for another entry point' },
    { flags: '--cidfile <file>', help: 'write the id to a new file' },
    { flags: '--scratch <kind>', help: 'tmpfs[:SIZE] (the only one so far)' },
    { flags: '--stop-timeout <seconds>', help: 'between TERM and KILL of `stop` (default 10)' },
    ...ENCLAVE_OPTIONS,
  ],
  example: 'enclave-cc run -d --name db registry.example/acme/db:1',
  run: async (context, input) => {
    try {
      return await runImage(context, input)
    } catch (error) {
      throw as125(error, context.signal)
    }
  },
}

async function runImage(context: CommandContext, input: CommandInput): Promise<Outcome> {
  refuseUnbuilt(input)
  checkTee(input.text('tee'))
  const cidfile = input.text('cidfile')
  if (cidfile !== undefined && existsSync(cidfile)) {
    throw new CodedError('OUTPUT_EXISTS', `--cidfile ${cidfile} exists already`)
  }
  const id = newId()
  const name = containerName(input.text('name'), id)
  const request = { ...requestOf(context, input), cgroupsPath: `${CGROUP_PARENT}/${id}` }
  const stopTimeout = seconds(input.text('stop-timeout'))
  const inputs = openInputs(context, {
    bundle: input.text('bundle'),
    initData: input.text('init-data'),
  })
  banner(context)
  const store = new ContainerStore(context.places)
  const detach = input.flag('detach')
  try {
    const [image = '', ...command] = input.operands
    const job: RunJob = {
      kind: 'run',
      ...inputs.base,
      explain: input.flag('explain'),
      request,
      remove: input.flag('rm'),
      attach: !detach,
      record: {
        id,
        name,
        image,
        digest: '',
        command: command.join(' '),
        state: 'created',
        createdAt: new Date().toISOString(),
        platform: 'simulated',
        bundle: inputs.bundleDir,
        mrEnclave: toHex(mrEnclave(inputs.bundle.agent.manifest)),
        decisionIds: [],
        layers: [],
        pid: 0,
        agentPid: 0,
        initPid: 0,
        // until the supervisor takes over: a record must never outlive whoever answers for it
        supervisorPid: process.pid,
        supervisorStart: processStart(process.pid) ?? '',
        stopTimeout,
      },
    }
    store.create(job.record)
    if (cidfile !== undefined) writeFileSync(cidfile, id, { flag: 'wx' })
    const started = startJob(context, inputs, job)
    return await follow(context, started, job, detach)
  } finally {
    inputs.bundle.release()
  }
}

async function follow(
  context: CommandContext,
  started: StartedJob,
  job: RunJob,
  detach: boolean,
): Promise<Outcome> {
  let running = false
  const stopForwarding = forwardSignals(context, started, () => running)
  const progress = new JobProgress(context)
  try {
    for await (const event of started.events) {
      switch (event.event) {
        case 'progress':
          progress.show(event)
          break
        case 'started':
          running = true
          progress.end()
          if (!detach) break
          started.detach()
          return { document: { id: job.record.id, name: job.record.name }, text: job.record.id }
        case 'output':
          await write(event)
          break
        case 'exit':
          return ended(context, event.record.exitCode ?? 125, event.record)
        case 'failed':
          progress.fail()
          context.signal.throwIfAborted()
          throw errorOf(event)
        default:
          break
      }
    }
    throw new CodedError('SUPERVISOR_LOST', 'the supervisor ended without a word')
  } finally {
    stopForwarding()
    started.detach()
  }
}

function ended(
  context: CommandContext,
  exitCode: number,
  record: { readonly code?: string; readonly message?: string },
): Outcome {
  if (record.code === undefined) return { exitCode }
  context.warn(`error: ${record.message ?? 'the container was ended'} [${record.code}]`)
  return { exitCode: exitCode === 0 ? 125 : exitCode }
}

// As docker: once the container runs, its program gets the signals; before that, an interrupt gives up.
function forwardSignals(
  context: CommandContext,
  started: StartedJob,
  running: () => boolean,
): () => void {
  const forward = (name: NodeJS.Signals): void => {
    if (running()) started.order({ op: 'signal', signal: constants.signals[name] })
  }
  const onInterrupt = (name: 'SIGINT' | 'SIGTERM') => (): void => {
    if (running()) forward(name)
    else started.order({ op: 'cancel' })
  }
  const handlers: [NodeJS.Signals, () => void][] = [
    ...FORWARDED.map((name) => [name, () => forward(name)] as [NodeJS.Signals, () => void]),
    ['SIGINT', onInterrupt('SIGINT')],
    ['SIGTERM', onInterrupt('SIGTERM')],
  ]
  for (const [name, handler] of handlers) process.on(name, handler)
  if (context.signal.aborted) started.order({ op: 'cancel' })
  return () => {
    for (const [name, handler] of handlers) process.off(name, handler)
  }
}

async function write(event: Extract<JobEvent, { event: 'output' }>): Promise<void> {
  const stream = event.stream === 'stdout' ? process.stdout : process.stderr
  const data = Buffer.from(event.data, 'base64')
  if (!stream.write(data)) await new Promise<void>((resolve) => stream.once('drain', resolve))
}

function requestOf(context: CommandContext, input: CommandInput): Record<string, unknown> {
  const [, ...args] = input.operands
  const lines = input.list('env-file').flatMap((file) => envFileLines(readText(file)))
  const env = parseEnv([...lines, ...input.list('env')], context.env)
  const entrypoint = input.text('entrypoint')
  const [user, workdir] = [input.text('user'), input.text('workdir')]
  return {
    ...(args.length === 0 ? {} : { args }),
    ...(entrypoint === undefined ? {} : { entrypoint: entrypoint === '' ? [] : [entrypoint] }),
    ...(Object.keys(env).length === 0 ? {} : { env }),
    ...(user === undefined ? {} : { user }),
    ...(workdir === undefined ? {} : { workdir }),
    scratch: scratchOf(input.text('scratch')),
    network: 'host',
    explain: input.flag('explain'),
    resolvConf: readOptional('/etc/resolv.conf'),
    hosts: readOptional('/etc/hosts'),
  }
}

function scratchOf(text: string | undefined): { kind: 'tmpfs'; size?: number } {
  if (text === undefined || text === 'tmpfs') return { kind: 'tmpfs' }
  if (text === 'disk' || text.startsWith('disk:')) {
    throw new CodedError('FEATURE_NOT_BUILT', '--scratch disk is not built yet')
  }
  const match = /^tmpfs:(\d{1,12})([kmg]?)$/i.exec(text)
  if (match === null) throw new CodedError('USAGE', `--scratch ${text}: tmpfs or tmpfs:SIZE`)
  const factor = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[match[2]?.toLowerCase() ?? ''] ?? 1
  return { kind: 'tmpfs', size: Number(match[1]) * factor }
}

function refuseUnbuilt(input: CommandInput): void {
  for (const flag of ['interactive', 'tty']) {
    if (input.flag(flag)) throw new CodedError('FEATURE_NOT_BUILT', `--${flag} is not built yet`)
  }
  for (const flag of ['volume', 'publish']) {
    if (input.list(flag).length > 0) {
      throw new CodedError('FEATURE_NOT_BUILT', `--${flag} is not built yet`)
    }
  }
  const network = input.text('network') ?? 'host'
  if (network !== 'host') {
    throw new CodedError('FEATURE_NOT_BUILT', `--network ${network} is not built yet, only host`)
  }
}

function seconds(text: string | undefined): number {
  if (text === undefined) return 10
  if (!/^\d{1,6}$/.test(text)) throw new CodedError('USAGE', `--stop-timeout ${text}: seconds`)
  return Number(text)
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new CodedError('INPUT_UNREADABLE', `reading ${file} failed`, { cause })
  }
}

function readOptional(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}
