import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { copyKeptBundle } from './kept-bundle.ts'
import { unmountBelow } from './mounts.ts'
import { processesNaming, worldPrefix } from './neighbours.ts'

const TOP = dirname(dirname(import.meta.dirname))
const DIST = join(TOP, 'dist')

/** What a command came to. */
export interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The JSON document on stdout. Throws if there is none. */
  json<T = Record<string, unknown>>(): T
}

/** Options of `World.cli`. */
export interface CliOptions {
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  /** Sees stderr as it comes. */
  readonly onStderr?: (text: string) => void
  readonly signal?: AbortSignal
  /** Another folder of built programs. */
  readonly dist?: string
}

/**
 * One node, one registry and one broker of their own, in a temporary folder, on free loopback ports.
 * Everything is real; disposing of it ends every process and removes every file.
 */
export class World implements AsyncDisposable {
  readonly dir: string
  readonly root: string
  readonly state: string
  readonly kbsData: string
  /** Folder of the built programs. */
  readonly dist: string = DIST
  readonly env: Record<string, string>
  readonly #children: ChildProcess[] = []
  registry = ''
  kbsUrl = ''
  /** What the brokers wrote to their standard error. */
  brokerLog = ''

  constructor(name = 'world') {
    this.dir = mkdtempSync(worldPrefix(name))
    this.root = join(this.dir, 'root')
    // short: the path of a unix socket has 107 bytes at most, and TMPDIR may be long
    this.state = join(this.dir, 's')
    this.kbsData = join(this.dir, 'kbs')
    this.env = {
      PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: this.dir,
      ENCLAVE_CC_ROOT: this.root,
      ENCLAVE_CC_STATE: this.state,
      ENCLAVE_CC_KBS_DATA: this.kbsData,
      ENCLAVE_CC_INIT_DATA: join(this.dir, 'init-data.toml'),
      ENCLAVE_CC_KEY_PASSWORD: '',
      // spares of a running container come and go by themselves; tests of the pool ask for them
      ENCLAVE_CC_POOL_SIZE: '0',
    }
    mkdirSync(this.root, { recursive: true })
  }

  /** A path in the world's folder. */
  path(...names: string[]): string {
    return join(this.dir, ...names)
  }

  /** Starts the built program; the caller waits for it. */
  start(args: readonly string[], options: CliOptions = {}): ChildProcess {
    const program = join(options.dist ?? DIST, 'enclave-cc.cjs')
    return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {
      env: { ...this.env, ...options.env },
      cwd: this.dir,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
  }

  /**
   * Runs the built program to its end. When `signal` is aborted the program is asked to end, and its end
   * is waited for all the same, since it cleans up; then the reason is thrown.
   */
  async cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    options.signal?.throwIfAborted()
    const child = this.start(args, options)
    const stop = (): void => void child.kill('SIGTERM')
    options.signal?.addEventListener('abort', stop, { once: true })
    let [stdout, stderr] = ['', '']
    child.stdout?.on('data', (chunk) => {
      stdout += String(chunk)
    })
    child.stderr?.on('data', (chunk) => {
      stderr += String(chunk)
      options.onStderr?.(String(chunk))
    })
    if (options.input !== undefined) child.stdin?.end(options.input)
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
    options.signal?.removeEventListener('abort', stop)
    options.signal?.throwIfAborted()
    return {
      code: code ?? (signal === null ? -1 : 128),
      stdout,
      stderr,
      json: () => JSON.parse(stdout),
    }
  }

  /** As `cli`, and throws with what was printed if the exit code is not 0. */
  async ok(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    const result = await this.cli(args, options)
    if (result.code !== 0) {
      throw new Error(`enclave-cc ${args.join(' ')}: exit ${result.code}\n${result.stderr}`)
    }
    return result
  }

  /** Starts Debian's registry; `this.registry` is then its `host:port`. */
  async startRegistry(): Promise<void> {
    const port = await freePort()
    this.registry = `127.0.0.1:${port}`
    const config = this.path('registry.yml')
    mkdirSync(this.path('registry'), { recursive: true })
    writeFileSync(
      config,
      `version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: ${this.path('registry')}}, delete: {enabled: true}}
http: {addr: ${this.registry}}
`,
    )
    const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore', env: this.env })
    this.#children.push(child)
    const gone = new AbortController()
    child.once('exit', () => gone.abort(new Error('the registry ended')))
    const up = async (): Promise<boolean> => (await fetch(`http://${this.registry}/v2/`)).ok
    await until(up, 'the registry', gone.signal)
  }

  /** Makes and starts a broker; `this.kbsUrl` is then its address. */
  async startBroker(
    dataDir: string = this.kbsData,
  ): Promise<{ url: string; stop(): Promise<void> }> {
    if (!existsSync(dataDir)) await this.ok(['kbs', 'init', '--data-dir', dataDir])
    const listen = ['--listen', '127.0.0.1:0', '--log-level', 'debug']
    const child = this.start(['kbs', 'serve', '--data-dir', dataDir, ...listen])
    this.#children.push(child)
    let stderr = ''
    child.stderr?.on('data', (chunk) => {
      stderr += String(chunk)
      this.brokerLog += String(chunk)
    })
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    child.stdout?.on('data', (chunk) => {
      const line = String(chunk)
        .split('\n')
        .find((text) => text.includes('"listening"'))
      if (line !== undefined) resolve((JSON.parse(line) as { url: string }).url)
    })
    child.once('exit', (code) => reject(new Error(`kbs serve: exit ${code}\n${stderr}`)))
    const url = await promise
    if (dataDir === this.kbsData) {
      this.kbsUrl = url
      this.env.ENCLAVE_CC_KBS_URL = url
    }
    return { url, stop: () => end(child) }
  }

  /** Bundle, trust and init-data: what every run needs. Init-data is for namespace `namespace`. */
  async prepare(namespace = 'acme'): Promise<void> {
    const bundle = join(this.root, 'bundles', 'default')
    if (!existsSync(join(bundle, 'agent.json'))) {
      await copyKeptBundle(this.dist, bundle, (out) => this.ok(['bundle', 'build', '--out', out]))
    }
    await this.ok(['platform', 'export-root', this.path('sim-root.pem')])
    await this.ok(['kbs', 'root', 'add', this.path('sim-root.pem'), '--platform', 'simulated'])
    await this.ok(['kbs', 'reference', 'set', '--bundle', bundle])
    const { stdout } = await this.ok(['kbs', 'init-data', '--namespace', namespace])
    writeFileSync(this.env.ENCLAVE_CC_INIT_DATA ?? '', stdout)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (existsSync(join(this.root, 'containers'))) {
      const ids = readdirSync(join(this.root, 'containers')).filter((name) => name.length === 64)
      for (const id of ids) await this.cli(['rm', '-f', id])
    }
    if (existsSync(join(this.state, 'pool'))) await this.cli(['pool', 'drain'])
    await Promise.all(this.#children.map(end))
    await this.#othersGone()
    this.#showSupervisorLog()
    unmountBelow(this.dir)
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 })
  }

  // Supervisors are silent unless something went wrong that their command could not be told.
  #showSupervisorLog(): void {
    const file = join(this.root, 'supervisor.log')
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    if (text !== '') console.error(`supervisors of ${this.dir} said:\n${text}`)
  }

  // A supervisor gives its bundle up after its command has ended; a folder that goes away under it
  // would be made again.
  async #othersGone(): Promise<void> {
    const end = Date.now() + 10_000
    while (processesNaming(this.dir).length > 0 && Date.now() < end) await delay(20)
  }
}

/** A TCP port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Waits until a probe succeeds; throws after ten seconds, or the reason of an aborted `signal`. */
export async function until(
  probe: () => Promise<boolean>,
  what: string,
  signal?: AbortSignal,
): Promise<void> {
  const end = Date.now() + 10_000
  for (;;) {
    signal?.throwIfAborted()
    try {
      if (await probe()) return
    } catch {
      // not yet
    }
    if (Date.now() > end) throw new Error(`${what} did not come up in ten seconds`)
    await delay(20)
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(timer)
}
