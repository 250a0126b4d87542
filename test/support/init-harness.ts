import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { utf8 } from '#lib/bytes'
import { createResponder, type HandoverLayer, reportForm } from '#lib/handover'
import { encodeLaunchConfig, type LaunchConfig } from '#lib/launch'
import { spoolLayer, unpackLayer } from '#lib/layer'
import { type EnclaveManifest, manifestBytes } from '#lib/manifest'
import { cachedLayerFile, createSealer, layerPlace, type SealedSink } from '#lib/sealed'
import { createTtrpcClient } from '#lib/ttrpc'
import { socketPair } from '#platform/socket-pair'
import { type InitClient, initClient } from '#protocol/agent'
import { openSimTee } from '../../src/enclave/tee/index.ts'
import { openPlatform } from '../../src/host/launcher/sim/index.ts'
import { bundleServeEntry } from './serve-bundle.ts'

const INIT_DATA = utf8('version = "0.1.0"\n')

/** A name that init takes for a sealed layer: that of the test where it is one. */
function layerFile(name: string): string {
  const file = `${name}.sealed`
  if (layerPlace(file) !== undefined) return file
  return cachedLayerFile(createHash('sha256').update(name).digest().subarray(0, 16))
}

/** Makes an EROFS image of `tree` with mkfs.erofs and seals it in `spool`. */
export async function sealTree(tree: string, spool: string, name: string): Promise<HandoverLayer> {
  const image = join(spool, `${name}.erofs`)
  execFileSync('mkfs.erofs', ['-Enoinline_data', image, tree], { stdio: 'ignore' })
  const fd = openSync(join(spool, layerFile(name)), 'wx', 0o600)
  try {
    const sealer = createSealer({ sink: sinkOf(fd) })
    await sealer.append(readFileSync(image))
    const { key, root, encodedHeader } = await sealer.finish()
    return { key, root, header: encodedHeader, file: layerFile(name) }
  } finally {
    closeSync(fd)
    rmSync(image)
  }
}

/** Packs `tree` as an OCI layer and takes it through the agent's pipeline into `spool`. */
export async function sealLayer(tree: string, spool: string, name: string): Promise<HandoverLayer> {
  const archive = execFileSync(
    'tar',
    [
      '--format=pax',
      '--sort=name',
      '--xattrs',
      '--xattrs-include=*',
      '--numeric-owner',
      '--owner=0',
      '--group=0',
      '-C',
      tree,
      '-c',
      '.',
    ],
    { maxBuffer: 256 * 1024 * 1024 },
  )
  const diffId = `sha256:${createHash('sha256').update(archive).digest('hex')}`
  const spooled = await spoolLayer({
    source: (async function* () {
      yield new Uint8Array(archive)
    })(),
    descriptor: {
      digest: diffId,
      size: archive.length,
    },
    cipher: undefined,
  })
  const file = openSync(join(spool, layerFile(name)), 'wx', 0o600)
  try {
    const { key, root, encodedHeader } = await unpackLayer({
      spooled,
      compression: 'none',
      diffId,
      sink: sinkOf(file),
    })
    return { key, root, header: encodedHeader, file: layerFile(name) }
  } finally {
    closeSync(file)
  }
}

function sinkOf(fd: number): SealedSink {
  return {
    write(offset, bytes) {
      for (let at = 0; at < bytes.length; ) {
        at += writeSync(fd, bytes, at, bytes.length - at, offset + at)
      }
    },
  }
}

/** A launch configuration of a program in a test image. */
export function launchOf(
  layers: readonly HandoverLayer[],
  args: readonly string[],
  change: Partial<LaunchConfig> = {},
): LaunchConfig {
  const containerId = `t${randomBytes(6).toString('hex')}`
  return {
    version: 1,
    containerId,
    hostname: 'inside',
    args,
    env: ['PATH=/bin:/usr/bin', 'HOSTNAME=inside'],
    cwd: '/',
    user: '',
    stdio: 'plain',
    tty: false,
    stopSignal: 'SIGTERM',
    volumes: [],
    readonlyRootfs: false,
    scratch: { kind: 'tmpfs', size: 64 * 1024 * 1024 },
    network: 'host',
    hosts: '127.0.0.1\tlocalhost\n',
    resolvConf: 'nameserver 192.0.2.1\n',
    cgroupsPath: `/enclave-cc-test-${containerId}`,
    resources: {},
    layers: layers.map(({ file }) => ({ file })),
    ...change,
  }
}

/** A running init program, and its agent's half played by the test. */
export interface TestInit extends AsyncDisposable {
  readonly client: InitClient
  readonly pid: number
  readonly base: string
  /** Standard output of the container so far. */
  output(): string
  errors(): string
  /** Resolves when the init process has ended, with its code or signal. */
  readonly exited: Promise<number | NodeJS.Signals | null>
  /** The first call, which `prepare` makes too where it was not made. */
  configure(): Promise<void>
  /** Configure, begin and the handover of keys and launch. */
  prepare(layers: readonly HandoverLayer[], config: LaunchConfig): Promise<void>
  /** Closes the control socket, as a supervisor that died. */
  hangUp(): void
}

/** The machine's runc. */
function machineRunc(): string {
  return execFileSync('sh', ['-c', 'command -v runc']).toString().trim()
}

/** The machine's mke2fs. */
export const MKE2FS = '/usr/sbin/mke2fs'

let bundled: string | undefined

/** Init's serving thread in one file, made once and removed when the test's process ends. */
function serveEntry(): string {
  if (bundled !== undefined) return bundled
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-serve-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  bundled = bundleServeEntry(join(folder, 'serve.cjs'))
  return bundled
}

/** Starts the init program as the launcher would, with the simulated platform as its TEE. */
export async function startInit(
  spool: string,
  runc: string = machineRunc(),
  mke2fs: string = MKE2FS,
): Promise<TestInit> {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-init-'))
  const platform = await openPlatform(join(folder, 'platform'))
  const agentSigner = new Uint8Array(32).fill(7)
  const manifest = manifestBytes(manifestOf(agentSigner))
  const configId = new Uint8Array(64)
  configId.set(sha256(INIT_DATA))
  const common = { configId, isvSvn: 1, debug: false }
  const mrEnclave = sha256(manifest)

  const [control, device] = [socketPair(), socketPair()]
  const base = join(folder, 'mounts')
  const entry = join(import.meta.dirname, 'init-entry.ts')
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', entry, base, spool, runc, mke2fs, serveEntry()],
    { stdio: [control.theirs, 'pipe', 'pipe', device.theirs], env: {} },
  )
  control.closeTheirs()
  device.closeTheirs()
  const initSecs = { mrEnclave, mrSigner: new Uint8Array(32).fill(8), isvProdId: 2 }
  const served = platform.serve(device.ours, { ...common, ...initSecs })
  const [near, far] = duplexPair()
  const agentSecs = { mrEnclave: new Uint8Array(32).fill(9), mrSigner: agentSigner, isvProdId: 1 }
  const agentServed = platform.serve(far, { ...common, ...agentSecs })
  const responder = createResponder({
    form: reportForm(openSimTee(near)),
    peer: { mrEnclave },
    initDataDigest: sha256(INIT_DATA),
    now: () => performance.now(),
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal))
  })
  const connection = createTtrpcClient(control.ours)
  const client = initClient(connection)
  let configured: Promise<unknown> | undefined
  const configure = async (): Promise<void> => {
    configured ??= client.configure({ initData: INIT_DATA, manifest })
    await configured
  }
  return {
    client,
    configure,
    pid: child.pid ?? 0,
    base,
    exited,
    output: () => Buffer.concat(out).toString(),
    errors: () => Buffer.concat(err).toString(),
    hangUp: () => control.ours.destroy(),
    async prepare(layers, config) {
      await configure()
      const launchId = responder.offer({
        podId: 'pod',
        containerId: config.containerId,
        manifestDigest: `sha256:${'0'.repeat(64)}`,
        payload: {
          layers,
          config: encodeLaunchConfig(config),
          scratch: utf8(JSON.stringify(config.scratch)),
        },
      })
      let { message } = await client.begin({ launchId })
      for (const _ of ['M2', 'M4']) {
        message = (await client.handover({ message: await responder.handle(message) })).message
      }
      await responder.handle(message)
    },
    async [Symbol.asyncDispose]() {
      control.ours.destroy()
      await exited
      await connection[Symbol.asyncDispose]()
      served.close()
      agentServed.close()
      near.destroy()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A fresh folder for trees and sealed layers. */
export function testFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'enclave-cc-stack-'))
  mkdirSync(join(path, 'spool'))
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

function manifestOf(agentSigner: Uint8Array): EnclaveManifest {
  return {
    version: 1,
    program: 'init',
    image: { sha256: '0'.repeat(64), size: 4096 },
    entry: '/usr/bin/node',
    args: ['/usr/lib/enclave-cc/init.cjs'],
    env: {},
    attributes: { debug: false },
    isvProdId: 2,
    isvSvn: 1,
    builtAt: 1,
    peers: {
      agent: { mrSigner: Buffer.from(agentSigner).toString('hex'), isvProdId: 1, minIsvSvn: 1 },
    },
  }
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}
