import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { until, type World } from '../../test/support/world.ts'

/** A containerd of our own with one image in it. Disposing of it stops the daemon. */
export interface CtrPeer extends AsyncDisposable {
  /** Starts the image with runc. */
  start(): ChildProcess
}

/** True where containerd is installed. */
export function hasContainerd(): boolean {
  return existsSync('/usr/bin/containerd') && existsSync('/usr/bin/ctr')
}

/** Starts containerd in the world's folder and gives it an image from an OCI layout. */
export async function ctrPeer(world: World, layout: string): Promise<CtrPeer> {
  const folder = world.path('containerd')
  mkdirSync(folder)
  const socket = `${folder}/containerd.sock`
  const config = `${folder}/config.toml`
  writeFileSync(
    config,
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
`,
  )
  const daemon = spawn('containerd', ['--config', config, '--log-level', 'error'], {
    stdio: 'ignore',
    env: world.env,
  })
  const ctr = (...args: readonly string[]): string[] => ['--address', socket, ...args]
  await until(async () => {
    execFileSync('ctr', ctr('version'), { stdio: 'ignore' })
    return true
  }, 'containerd')
  const archive = `${folder}/image.tar`
  execFileSync('tar', ['--create', '--file', archive, '--directory', layout, '.'])
  execFileSync('ctr', ctr('images', 'import', '--base-name', 'bench.example/start', archive), {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const list = execFileSync('ctr', ctr('images', 'list', '--quiet'), { encoding: 'utf8' })
  const image = list.split('\n')[0] ?? ''
  let count = 0
  return {
    start() {
      const args = ctr('run', '--rm', image, `bench-${count++}`)
      return spawn('ctr', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    },
    async [Symbol.asyncDispose]() {
      daemon.kill('SIGTERM')
      if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, 'exit')
    },
  }
}
