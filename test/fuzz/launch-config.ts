import assert from 'node:assert/strict'
import { encodeLaunchConfig, type LaunchConfig, parseLaunchConfig, runtimeSpec } from '#lib/launch'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const CONFIG: LaunchConfig = {
  version: 1,
  containerId: 'c1',
  hostname: 'box',
  args: ['/bin/true', ''],
  env: ['PATH=/bin', 'EMPTY='],
  cwd: '/',
  user: '1000:1000',
  stdio: 'plain',
  tty: false,
  stopSignal: 'SIGTERM',
  volumes: ['/data'],
  readonlyRootfs: false,
  scratch: { kind: 'tmpfs', size: 65_536 },
  network: 'host',
  hosts: '127.0.0.1 localhost\n',
  resolvConf: 'nameserver 127.0.0.1\n',
  cgroupsPath: '/enclave-cc/c1',
  resources: { memory: 64 * 1024 * 1024 },
  layers: [{ file: 'layer-0.sealed' }],
}

/** A launch configuration: a typed error, or one that reads the same when written again and makes a runtime spec. */
export const target: FuzzTarget = {
  format: 'launch-config',
  seeds: () => [encodeLaunchConfig(CONFIG)],
  run: fuzzLaunch,
}

function fuzzLaunch(data: Uint8Array): void {
  const config = parseLaunchConfig(data)
  assert.deepEqual(parseLaunchConfig(encodeLaunchConfig(config)), config)
  for (const path of [config.cwd, ...config.volumes])
    assert.doesNotMatch(path, /\0|(^|\/)\.\.?(\/|$)/)
  const user = { uid: 1000, gid: 1000, additionalGids: [] }
  const paths = { rootfs: '/r', hosts: '/h', resolvConf: '/c', hostname: '/n' }
  const spec = runtimeSpec(config, user, paths) as {
    process: { noNewPrivileges: boolean; args: unknown }
  }
  assert.equal(spec.process.noNewPrivileges, true)
  assert.deepEqual(spec.process.args, config.args)
}
