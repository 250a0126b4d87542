import { equalBytes, utf8 } from '#lib/bytes'
import { encodeLaunchConfig, type LaunchConfig, parseLaunchConfig } from '#lib/launch'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/** A launch configuration: a typed error, or a value that encodes and parses to itself. */
export const target: FuzzTarget = { format: 'launch-config', seeds, run: fuzzLaunchConfig }

function fuzzLaunchConfig(data: Uint8Array): void {
  const config = parseLaunchConfig(data)
  const again = encodeLaunchConfig(config)
  if (!equalBytes(encodeLaunchConfig(parseLaunchConfig(again)), again)) {
    throw new Error('a configuration does not round-trip')
  }
  for (const { file } of config.layers) {
    if (file.includes('/') || file.startsWith('.')) throw new Error('a file name leads out')
  }
  if (config.cwd.split('/').includes('..')) throw new Error('a path leads out')
}

function* seeds(): Iterable<Uint8Array> {
  const config: LaunchConfig = {
    version: 1,
    containerId: 'c0ffee',
    hostname: 'c0ffee',
    args: ['/entry', 'serve'],
    env: ['PATH=/bin', 'A=b=c'],
    cwd: '/srv',
    user: 'app:staff',
    stdio: 'plain',
    tty: false,
    stopSignal: 'SIGRTMIN+3',
    volumes: ['/data'],
    readonlyRootfs: false,
    scratch: { kind: 'tmpfs', size: 1_073_741_824 },
    network: 'host',
    hosts: '127.0.0.1\tlocalhost\n',
    resolvConf: 'nameserver 10.0.0.1\n',
    cgroupsPath: '/enclave-cc-c0ffee',
    resources: { memory: 67_108_864, cpusetCpus: '0-3' },
    layers: [{ file: 'layer-0.sealed' }],
  }
  yield encodeLaunchConfig(config)
  yield utf8(JSON.stringify({ ...config, resources: {} }))
}
