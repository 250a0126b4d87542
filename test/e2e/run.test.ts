import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownedWorld } from '../support/owned-world.ts'
import { publish } from '../support/owner.ts'
import { podProcesses } from '../support/pod-processes.ts'
import { type CliResult, until, type World } from '../support/world.ts'

const TRAP = 'trap "echo got TERM; exit 7" TERM; trap "echo got HUP" HUP; trap "exit 5" INT;'
const LOOP = 'echo running; while :; do sleep 0.1; done'

let world: World
const images: Record<string, string> = {}

ownedWorld('run', async (made) => {
  world = made
  const program = async (name: string, ...args: string[]): Promise<void> => {
    const config = { Entrypoint: args, ...(name === 'int' ? { StopSignal: 'SIGINT' } : {}) }
    images[name] = await publish(world, { name: `acme/${name}:1`, config })
  }
  await program('three', 'sh', '-c', 'echo out; echo err >&2; exit 3')
  await program('server', 'sh', '-c', `${TRAP} ${LOOP}`)
  await program('int', 'sh', '-c', `${TRAP} ${LOOP}`)
  await program('deaf', 'sh', '-c', `trap "" TERM; ${LOOP}`)
  await program('nothing', '/usr/bin/no-such-program')
  await program('unexecutable', '/etc/passwd')
  await program('environment', 'env')
  await program(
    'chatty',
    'sh',
    '-c',
    'yes 0123456789012345678901234567890123456789 | dd bs=41 count=20000',
  )
  // folders and locks that stay
  await world.cli(['run', '--rm', image('three')])
})

function image(name: string): string {
  return images[name] ?? ''
}

function refused(result: CliResult, code: string, exitCode: number): void {
  assert.match(result.stderr, new RegExp(`^error: .*\\[${code}\\]$`, 'm'))
  assert.match(result.stderr, /^next: \S/m)
  assert.equal(result.code, exitCode, result.stderr)
  assert.equal(result.stdout, '')
}

/** Starts a detached container; gives its id. */
async function detached(name: string, ...flags: string[]): Promise<string> {
  return (await world.ok(['run', '-d', ...flags, image(name)])).stdout.trim()
}

async function output(id: string): Promise<string> {
  return (await world.ok(['logs', id])).stdout
}

/** A command that was started, with what it prints. */
class Running {
  readonly child: ChildProcess
  readonly ended: Promise<number>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[]) {
    this.child = world.start(args)
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += String(chunk)
    })
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += String(chunk)
    })
    this.ended = once(this.child, 'close').then(([code]) => (code as number | null) ?? -1)
  }

  async says(text: string): Promise<void> {
    await until(async () => this.stdout.includes(text), `"${text}"; stderr: ${this.stderr}`)
  }

  async shows(text: string): Promise<void> {
    await until(async () => this.stderr.includes(text), `"${text}"; stderr: ${this.stderr}`)
  }
}

test('run streams both outputs, gives the program’s own code, and keeps the record', async () => {
  const result = await world.cli(['run', '--quiet', '--name', 'three', image('three')])
  assert.equal(result.code, 3, result.stderr)
  assert.equal(result.stdout, 'out\n')
  assert.equal(
    result.stderr,
    'simulated platform: the operator of this machine can read memory\nerr\n',
    'the banner is not hidden, all else is',
  )
  const [entry] = (await world.ok(['ps', '-a', '--json'])).json<Record<string, unknown>[]>()
  assert.equal(entry?.state, 'exited')
  assert.equal(entry?.exitCode, 3)
  assert.deepEqual((await world.ok(['ps', '--json'])).json(), [], 'ps hides what has ended')
  assert.equal((await world.ok(['logs', 'three'])).stdout, 'out\n')
  assert.equal((await world.ok(['wait', 'three'])).stdout, '3\n')
  await world.ok(['rm', 'three'])
  refused(await world.cli(['wait', 'three']), 'CONTAINER_NOT_FOUND', 1)
})

test('exit codes are docker’s: 127 not found, 126 not executable, 128+n by a signal', async () => {
  refused(await world.cli(['run', '--rm', image('nothing')]), 'CONTAINER_COMMAND_NOT_FOUND', 127)
  const result = await world.cli(['run', '--rm', image('unexecutable')])
  refused(result, 'CONTAINER_COMMAND_NOT_EXECUTABLE', 126)
  const run = new Running(['run', '--name', 'killed', image('server')])
  await run.says('running')
  await world.ok(['kill', 'killed'])
  assert.equal(await run.ended, 137, run.stderr)
  await world.ok(['rm', 'killed'])
  const missing = `${world.registry}/acme/none:1`
  const absent = await world.cli(['run', '--rm', '--json', missing])
  assert.equal(absent.code, 125)
  const last = JSON.parse(absent.stderr.trim().split('\n').at(-1) ?? '') as {
    error: { code: string; next: string; retryable: boolean }
  }
  assert.match(last.error.code, /^[A-Z][A-Z0-9_]+$/)
  assert.notEqual(last.error.next, '')
  assert.equal(typeof last.error.retryable, 'boolean')
})

test('words after the image are the container’s: the owner refuses them, we do not read them', async () => {
  const args = ['run', '--rm', image('three'), '--version', '--json', '-q']
  refused(await world.cli(args), 'LAUNCH_ARGS_REFUSED', 125)
})

test('run -d prints the id; logs -f follows to the end; stop ends it with TERM; wait knows the code', async () => {
  const id = await detached('server', '--name', 'web', '--cidfile', world.path('cid'))
  assert.match(id, /^[0-9a-f]{64}$/)
  assert.equal(readFileSync(world.path('cid'), 'utf8'), id)
  const [entry] = (await world.ok(['ps', '--json'])).json<Record<string, unknown>[]>()
  assert.equal(entry?.id, id)
  assert.equal(entry?.state, 'running')
  assert.equal((await world.ok(['ps', '-q'])).stdout, `${id.slice(0, 12)}\n`)
  assert.equal((await world.ok(['ps', '-q', '--no-trunc'])).stdout, `${id}\n`)
  const follower = new Running(['logs', '-f', 'web'])
  await follower.says('running')
  const waiter = new Running(['wait', id.slice(0, 8)])
  await world.ok(['kill', '-s', 'HUP', id.slice(0, 6)])
  await follower.says('got HUP')
  refused(await world.cli(['rm', 'web']), 'CONTAINER_RUNNING', 1)
  assert.equal((await world.ok(['stop', 'web'])).stdout, 'web\n')
  assert.equal(await follower.ended, 0)
  assert.equal(follower.stdout, 'running\ngot HUP\ngot TERM\n')
  assert.equal(await waiter.ended, 0)
  assert.equal(waiter.stdout, '7\n')
  await world.ok(['stop', 'web'])
  refused(await world.cli(['kill', 'web']), 'CONTAINER_NOT_RUNNING', 1)
  assert.equal((await world.ok(['logs', '--tail', '1', 'web'])).stdout, 'got TERM\n')
  assert.match(
    (await world.ok(['logs', '-t', '--tail', '1', 'web'])).stdout,
    /^20\d\d-.*Z got TERM\n$/,
  )
  assert.equal((await world.ok(['logs', '--since', '2999-01-01T00:00:00Z', 'web'])).stdout, '')
  const lines = (await world.ok(['logs', '--json', 'web'])).stdout.trim().split('\n')
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { text: string }).text),
    ['running\n', 'got HUP\n', 'got TERM\n'],
  )
  await world.ok(['rm', 'web'])
})

test('logs -f of a container with --rm shows its last words', async () => {
  const id = await detached('server', '--rm')
  const follower = new Running(['logs', '-f', id])
  await follower.says('running')
  await world.ok(['stop', id])
  assert.equal(await follower.ended, 0, follower.stderr)
  assert.equal(follower.stdout, 'running\ngot TERM\n')
  refused(await world.cli(['logs', id]), 'CONTAINER_NOT_FOUND', 1)
})

test('a command whose output nobody reads any more ends without words', async () => {
  const id = await detached('server')
  const follower = new Running(['logs', '-f', id])
  await follower.says('running')
  follower.child.stdout?.destroy()
  await world.ok(['kill', '-s', 'HUP', id])
  assert.equal(await follower.ended, 141)
  assert.equal(follower.stderr, '')
  await world.ok(['rm', '-f', id])
})

test('stop begins with the signal that the image names', async () => {
  const id = await detached('int')
  await until(async () => (await output(id)).includes('running'), 'the program')
  await world.ok(['stop', '-t', '60', id])
  assert.equal((await world.ok(['wait', id])).stdout, '5\n')
  await world.ok(['rm', id])
})

test('a program that ignores TERM is killed after the time of stop', async () => {
  const id = await detached('deaf', '--stop-timeout', '600')
  await until(async () => (await output(id)).includes('running'), 'the program')
  await world.ok(['stop', '-t', '1', id])
  assert.equal((await world.ok(['wait', id])).stdout, '137\n')
  await world.ok(['rm', id])
})

test('an attached run hands signals to its program and gives its code', async () => {
  for (const [signal, code] of [
    ['SIGTERM', 7],
    ['SIGINT', 5],
  ] as const) {
    const run = new Running(['run', '--rm', image('server')])
    await run.says('running')
    run.child.kill('SIGHUP')
    await run.says('got HUP')
    run.child.kill(signal)
    assert.equal(await run.ended, code, run.stderr)
  }
})

test('a command that is interrupted while it starts leaves nothing, whichever signal and flags', async () => {
  for (const [signal, code, flags] of [
    ['SIGINT', 130, ['--rm']],
    ['SIGTERM', 143, ['-d']],
    ['SIGHUP', 129, []],
  ] as const) {
    const run = new Running(['run', ...flags, '--cidfile', world.path('cut'), image('server')])
    await run.shows('launch the enclaves')
    run.child.kill(signal)
    assert.equal(await run.ended, code, run.stderr)
    assert.equal(run.stdout, '')
    assert.match(run.stderr, /\[INTERRUPTED\]/)
    assert.equal(existsSync(world.path('cut')), false)
    assert.deepEqual((await world.ok(['ps', '-a', '--json'])).json(), [])
  }
})

test('stop and rm -f reach a container that is being started; kill says that there is nothing yet', async () => {
  for (const args of [['stop'], ['rm', '-f']]) {
    const run = new Running(['run', '-d', '--name', 'early', image('server')])
    await until(
      async () => (await world.ok(['ps', '-q'])).stdout !== '' || run.stdout !== '',
      'the record',
    )
    if (run.stdout === '') {
      const killed = await world.cli(['kill', 'early'])
      if (run.stdout === '') refused(killed, 'CONTAINER_NOT_RUNNING', 1)
    }
    await world.ok([...args, 'early'])
    await run.ended
    await world.cli(['rm', '-f', 'early'])
  }
})

test('one name is one container’s, however many ask at once', async () => {
  const runs = ['a', 'b', 'c'].map((each) => {
    const flags = ['-d', '--name', 'only', '--cidfile', world.path(`cid-${each}`)]
    return new Running(['run', ...flags, image('server')])
  })
  const codes = await Promise.all(runs.map((run) => run.ended))
  assert.deepEqual(codes.sort(), [0, 125, 125])
  for (const run of runs.filter(({ stdout }) => stdout === '')) {
    assert.match(run.stderr, /\[CONTAINER_NAME_TAKEN\]/)
  }
  assert.equal(readdirSync(world.dir).filter((name) => name.startsWith('cid-')).length, 1)
  await world.ok(['rm', '-f', 'only'])
})

test('a cidfile that is there already is neither written nor removed', async () => {
  writeFileSync(world.path('taken'), 'mine')
  const result = await world.cli(['run', '--cidfile', world.path('taken'), image('three')])
  refused(result, 'OUTPUT_EXISTS', 125)
  assert.equal(readFileSync(world.path('taken'), 'utf8'), 'mine')
})

test('variables of an env file are refused, then granted by name; their values are in no argument', async () => {
  const file = world.path('variables')
  writeFileSync(file, '# comment\nLOG_LEVEL=de bug=1\n\nUNSET_HERE\n')
  const args = ['run', '--rm', '--env-file', file, image('environment')]
  const result = await world.cli(args)
  refused(result, 'LAUNCH_ENV_REFUSED', 125)
  assert.doesNotMatch(result.stderr, /de bug/)
  const policy = `
@id("signed") permit (principal, action == Action::"run", resource) when { principal.signed };
@id("keys") permit (principal, action == Action::"use-key", resource)
  when { principal.signed && context.namespace == resource.namespace };
@id("log-level") permit (principal, action == Action::"set-env", resource)
  when { context.name == "LOG_LEVEL" };
`
  writeFileSync(world.path('launch.cedar'), policy)
  const uri = 'kbs:///acme/launch-policy/default'
  await world.ok(['kbs', 'resource', 'set', uri, world.path('launch.cedar')])
  const granted = await world.ok(args)
  assert.match(granted.stdout, /^LOG_LEVEL=de bug=1$/m)
  assert.doesNotMatch(granted.stdout, /UNSET_HERE/)
  const overridden = await world.ok([
    'run',
    '--rm',
    '--env-file',
    file,
    '-e',
    'LOG_LEVEL=info',
    image('environment'),
  ])
  assert.match(overridden.stdout, /^LOG_LEVEL=info$/m)
  writeFileSync(file, 'a secret without a name\n')
  const malformed = await world.cli(args)
  refused(malformed, 'USAGE', 2)
  assert.doesNotMatch(malformed.stderr, /a secret/)
  await world.ok(['kbs', 'resource', 'delete', uri])
})

test('a supervisor that is killed before it has begun leaves no record, one that ran leaves a lost one', async () => {
  const run = new Running(['run', image('server')])
  await run.shows('launch the enclaves')
  process.kill(podProcesses(run.child.pid ?? 0).supervisor ?? 0, 'SIGKILL')
  assert.equal(await run.ended, 125)
  assert.match(run.stderr, /\[SUPERVISOR_LOST\]/)
  assert.deepEqual((await world.ok(['ps', '-a', '--json'])).json(), [])

  const later = new Running(['run', '--name', 'lost', image('server')])
  await later.says('running')
  process.kill(podProcesses(later.child.pid ?? 0).supervisor ?? 0, 'SIGKILL')
  assert.equal(await later.ended, 125)
  const [entry] = (await world.ok(['ps', '-a', '--json'])).json<Record<string, unknown>[]>()
  assert.equal(entry?.code, 'SUPERVISOR_LOST')
  assert.equal((await world.ok(['wait', 'lost'])).stdout, '137\n')
  await world.ok(['rm', 'lost'])
})

test('a command that is killed while it starts takes its container with it', async () => {
  const run = new Running(['run', '--name', 'orphan', image('server')])
  await run.shows('launch the enclaves')
  run.child.kill('SIGKILL')
  await run.ended
  await until(
    async () => (await world.ok(['ps', '-a', '-q'])).stdout === '',
    'the end of the container',
  )
  assert.deepEqual((await world.ok(['ps', '-a', '--json'])).json(), [])
  await world.cli(['rm', '-f', 'orphan'])
})

test('a damaged record is named by its id, and rm -f removes the container', async () => {
  const id = await detached('server')
  writeFileSync(join(world.root, 'containers', id, 'state.json'), '{"id":')
  refused(await world.cli(['inspect', id.slice(0, 10)]), 'CONTAINER_RECORD_DAMAGED', 1)
  refused(await world.cli(['rm', id]), 'CONTAINER_RECORD_DAMAGED', 1)
  await world.ok(['rm', '-f', id])
  refused(await world.cli(['inspect', id]), 'CONTAINER_NOT_FOUND', 1)
})

test('output that nobody reads stops the program, and the container can still be stopped', async () => {
  const run = world.start(['run', '--name', 'chatty', image('chatty')])
  run.stdout?.pause()
  await until(async () => (await world.ok(['ps', '-q'])).stdout !== '', 'the container')
  await until(async () => existsSync(logOf()) && readFileSync(logOf()).length > 100_000, 'output')
  await world.ok(['stop', '-t', '0', 'chatty'])
  run.stdout?.resume()
  await once(run, 'close')
  await world.ok(['rm', 'chatty'])
})

function logOf(): string {
  const [id] = readdirSync(join(world.root, 'containers')).filter((name) => name.length === 64)
  return join(world.root, 'containers', id ?? '', 'log.jsonl')
}

test('what an agent says is kept in two files of 8 MiB, however much it is', async () => {
  const id = await detached('server')
  try {
    const [{ agent }] = (await world.ok(['inspect', id])).json<[{ agent: { pid: number } }]>()
    const log = join(world.root, 'containers', id, 'enclaves.log')
    // its own standard error, as an agent out of hand would use it
    const fd = openSync(`/proc/${agent.pid}/fd/2`, 'w')
    try {
      const words = Buffer.alloc(1024 * 1024, 'words of an agent\n')
      for (let i = 0; i < 30; i++) writeSync(fd, words)
      writeSync(fd, 'the last word\n')
    } finally {
      closeSync(fd)
    }
    const limit = 8 * 1024 * 1024
    await until(async () => readFileSync(log, 'utf8').endsWith('the last word\n'), 'its last word')
    assert.ok(statSync(log).size <= limit)
    assert.ok(statSync(`${log}.1`).size <= limit)
  } finally {
    await world.ok(['rm', '-f', id])
  }
})

test('a container ends though somebody else holds the output of its enclaves open', async () => {
  const ends: readonly (readonly ['agent' | 'init', number, (id: string) => string[]])[] = [
    ['agent', 2, (id) => ['rm', '-f', id]],
    ['init', 1, (id) => ['rm', '-f', id]],
    ['agent', 2, (id) => ['stop', '-t', '0', id]],
  ]
  for (const [enclave, end, words] of ends) {
    const id = await detached('server')
    const [found] = (await world.ok(['inspect', id])).json<[Record<string, { pid: number }>]>()
    const held = openSync(`/proc/${found?.[enclave]?.pid}/fd/${end}`, 'w')
    try {
      await world.ok(words(id))
      // nobody is left to read it: the supervisor did not merely stop waiting
      assert.throws(() => writeSync(held, 'more'), { code: 'EPIPE' })
    } finally {
      closeSync(held)
    }
    await world.cli(['rm', '-f', id])
  }
})

test('relative places and places behind links are the same places', async () => {
  mkdirSync(world.state, { recursive: true })
  if (!existsSync(world.path('link'))) symlinkSync(world.state, world.path('link'))
  const args = ['run', '--rm', '--quiet', '--root', 'root', '--state', 'link']
  const result = await world.cli([...args, '--bundle', 'root/bundles/default', image('three')])
  assert.equal(result.code, 3, result.stderr)
})
