import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import {
  constructLaunch,
  encodeLaunchConfig,
  type LaunchConfig,
  NOTHING_GRANTED,
  parseHostRequest,
  parseLaunchConfig,
} from '#lib/launch'
import { digestOf, parseImageConfig } from '#lib/oci'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const IMAGE = parseImageConfig(
  utf8(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: { Entrypoint: ['/app'], Cmd: ['serve'], Env: ['A=1'], User: '7', WorkingDir: '/w' },
      rootfs: { type: 'layers', diff_ids: [digestOf(utf8('layer'))] },
    }),
  ),
)
const CONTAINER = { id: 'c1', layers: ['layer-0.sealed'] }

/**
 * What the host asks of a launch, with nothing granted: a typed error, or a launch in which everything
 * that decides what runs is the image's, and which init will read as it was constructed.
 */
export const target: FuzzTarget = { format: 'host-request', seeds, run: fuzzRequest }

function* seeds(): Generator<Uint8Array> {
  yield utf8('{}')
  yield utf8(
    JSON.stringify({
      env: {},
      tty: false,
      stdin: false,
      mounts: [],
      hostname: 'box-1',
      resolvConf: 'nameserver 10.0.0.1\nsearch a.example\noptions ndots:5 debug\n',
      hosts: '10.0.0.2 db db.example # comment\n::1 localhost\n',
      cgroupsPath: '/pod/c1',
      resources: { memory: 64 * 1024 * 1024, cpusetCpus: '0-1', pids: 10 },
      scratch: { kind: 'tmpfs', size: 1_048_576 },
      network: 'host',
      explain: true,
    }),
  )
}

function launch(request: Uint8Array): LaunchConfig {
  return constructLaunch(IMAGE, parseHostRequest(request), NOTHING_GRANTED, CONTAINER)
}

function decided(config: LaunchConfig): object {
  const { args, user, cwd, volumes, layers, stdio, tty, stopSignal } = config
  const env = config.env.filter((entry) => !entry.startsWith('HOSTNAME='))
  return { args, env, user, cwd, volumes, layers, stdio, tty, stopSignal }
}

const PLAIN = decided(launch(utf8('{}')))

function fuzzRequest(data: Uint8Array): void {
  const config = launch(data)
  assert.deepEqual(decided(config), PLAIN)
  assert.deepEqual(parseLaunchConfig(encodeLaunchConfig(config)), config)
  assert.match(config.resolvConf, /^(?:(?:nameserver|search|options ndots:)[ \w.:-]*\n)*$/)
  assert.match(config.hosts, /^(?:[\w.:]+\t[ \w.-]+\n)+$/)
}
