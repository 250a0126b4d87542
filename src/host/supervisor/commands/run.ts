import { existsSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromBase64, toHex } from '#lib/bytes'
import type { Command, CommandContext, CommandInput, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import { mrEnclave } from '#lib/manifest'
import { CGROUP_PARENT, clearCgroup } from '../cgroup.ts'
import { needCgroups } from '../cgroup-controllers.ts'
import { needFuseDevice } from '../fuse-device.ts'
import type { RunJob } from '../job.ts'
import { findSpare } from '../pool/claim.ts'
import { claimJob } from '../pool/claim-job.ts'
import { poolKey } from '../pool/pool-key.ts'
import { processStart } from '../process-start.ts'
import { MAX_COMMAND } from '../record.ts'
import { type JobInputs, openInputs, type StartedJob, startJob } from '../start-job.ts'
import { ContainerStore } from '../store.ts'
import { containerName, newId } from './container-name.ts'
import { FollowedRun } from './followed-run.ts'
import { expectedScratch, refuseUnbuilt, requestOf, stopSeconds } from './run-request.ts'
import { banner, checkTee, ENCLAVE_OPTIONS, withRunCode } from './shared.ts'

const MAX_IMAGE = 4096

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
    {
      flags: '--scratch <kind>',
      help: 'disk[:SIZE], encrypted (default 4g), or tmpfs[:SIZE], in memory (1g)',
    },
    { flags: '--stop-timeout <seconds>', help: 'between TERM and KILL of `stop` (default 10)' },
    ...ENCLAVE_OPTIONS,
  ],
  example: 'enclave-cc run -d --name db registry.example/acme/db:1',
  run: async (context, input) => {
    try {
      return await runImage(context, input)
    } catch (error) {
      throw withRunCode(error, context.signal)
    }
  },
}

async function runImage(context: CommandContext, input: CommandInput): Promise<Outcome> {
  refuseUnbuilt(input)
  checkTee(input.text('tee'))
  const [image = '', ...command] = input.operands
  if (image === '' || image.length > MAX_IMAGE) {
    throw new CodedError('USAGE', 'the image reference is empty or too long')
  }
  const cidfile = input.text('cidfile')
  if (cidfile !== undefined && existsSync(cidfile)) throw cidfileExists(cidfile)
  const id = newId()
  const name = containerName(input.text('name'), id)
  const request = { ...requestOf(context, input), cgroupsPath: `${CGROUP_PARENT}/${id}` }
  const stopTimeout = stopSeconds(input.text('stop-timeout'))
  const inputs = openInputs(context, {
    bundle: input.text('bundle'),
    initData: input.text('init-data'),
  })
  try {
    needFuseDevice()
    needCgroups()
    banner(context)
    const detach = input.flag('detach')
    const scratch = expectedScratch(request)
    const key = keyOf(context, inputs, scratch)
    using spare =
      key === undefined ? undefined : await findSpare(context.places.state, key, context.signal)
    context.signal.throwIfAborted()
    return await recorded(
      context,
      {
        kind: 'run',
        ...inputs.base,
        explain: input.flag('explain'),
        pool: { ...context.pool, ...(key === undefined ? {} : { key }) },
        scratch,
        request,
        remove: input.flag('rm'),
        attach: !detach,
        record: {
          id,
          name,
          image,
          digest: '',
          command: command.join(' ').slice(0, MAX_COMMAND),
          state: 'created',
          createdAt: new Date().toISOString(),
          platform: 'simulated',
          bundle: inputs.bundleDir,
          mrEnclave: toHex(mrEnclave(inputs.bundle.agent.manifest)),
          decisionIds: [],
          layers: [],
          mounts: [],
          pid: 0,
          agentPid: 0,
          initPid: 0,
          // until the supervisor takes over: a record must never outlive whoever answers for it
          supervisorPid: process.pid,
          supervisorStart: processStart(process.pid) ?? '',
          stopTimeout,
        },
      },
      cidfile,
      (job) => {
        const cold = (): StartedJob => startJob(context, inputs, job)
        const started = spare === undefined ? cold() : claimJob(spare, job, cold)
        return new FollowedRun(context, started, job)
      },
    )
  } finally {
    inputs.bundle.release()
  }
}

function keyOf(
  { pool, program }: CommandContext,
  { base }: JobInputs,
  scratch: number | undefined,
): string | undefined {
  if (pool.size === 0) return undefined
  const { root, bundle } = base
  return poolKey({
    root,
    bundle,
    initData: fromBase64(base.initData, 'init-data'),
    keepsLayers: base.cacheMaxSize > 0,
    scratch,
    program: join(program.dist, 'supervisor.cjs'),
    mounts: readlinkSync('/proc/self/ns/mnt'),
  })
}

// Makes the record, and takes it away again where nobody else will: the supervisor could not be
// started, or was killed before there was a program.
async function recorded(
  context: CommandContext,
  job: RunJob,
  cidfile: string | undefined,
  start: (job: RunJob) => FollowedRun,
): Promise<Outcome> {
  const store = new ContainerStore(context.places)
  const { id } = job.record
  store.create(job.record)
  let run: FollowedRun | undefined
  let written = false
  try {
    if (cidfile !== undefined) {
      writeCidfile(cidfile, id)
      written = true
    }
    run = start(job)
    return await run.end()
  } catch (error) {
    const lost = (error as { code?: unknown }).code === 'SUPERVISOR_LOST'
    if (run?.started !== true || (lost && job.remove)) {
      await clearCgroup(`${CGROUP_PARENT}/${id}`)
      store.remove(id)
    }
    if (run?.started !== true && written && cidfile !== undefined) rmSync(cidfile, { force: true })
    throw error
  }
}

function writeCidfile(file: string, id: string): void {
  try {
    writeFileSync(file, id, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw cidfileExists(file)
    throw error
  }
}

function cidfileExists(file: string): CodedError {
  return new CodedError('OUTPUT_EXISTS', `--cidfile ${file} exists already`, {
    next: 'choose another file, or remove it',
  })
}
