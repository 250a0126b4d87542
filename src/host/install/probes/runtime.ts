import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { CGROUPS, isUnified, missingControllers } from '../../supervisor/cgroup-controllers.ts'
import { type Finding, type Probe, versionAtLeast } from '../probe.ts'

/** Probes of the OCI runtime and what it needs. */
export const RUNTIME_PROBES: readonly Probe[] = [
  {
    name: 'runc',
    required: true,
    needed: '1.1',
    next: 'apt-get install runc',
    look: lookForRunc,
  },
  {
    name: 'container-namespaces',
    required: true,
    needed: 'pid, ipc, uts and cgroup namespaces',
    next: 'allow unshare(2) here: not inside an unprivileged container',
    look: lookAtNamespaces,
  },
  {
    name: 'cgroups',
    required: true,
    needed: 'cgroup v2, or v1 with memory, cpu, pids, devices and freezer; writable',
    next: 'mount the cgroup filesystem on /sys/fs/cgroup, writable for root',
    look: lookAtCgroups,
  },
]

function lookForRunc(): Finding {
  const run = spawnSync('runc', ['--version'], { encoding: 'utf8', timeout: 10_000 })
  if (run.error !== undefined) return { ok: false, found: 'missing' }
  const version = /^runc version (\S+)/.exec(run.stdout)?.[1] ?? 'unknown'
  return { ok: versionAtLeast(version, '1.1'), found: version }
}

function lookAtNamespaces(): Finding {
  // By a child: this process must stay where it is (a new pid namespace would end its threads).
  const run = spawnSync('unshare', ['-m', '-p', '-i', '-u', '-C', '--fork', 'true'], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  if (run.status === 0) return { ok: true, found: 'work' }
  return { ok: false, found: run.error?.message ?? run.stderr.trim() }
}

function lookAtCgroups(): Finding {
  const unified = isUnified()
  const missing = missingControllers()
  if (missing.length > 0) return { ok: false, found: `without ${missing.join(', ')}` }
  const trial = join(unified ? CGROUPS : join(CGROUPS, 'pids'), `enclave-cc-doctor-${process.pid}`)
  mkdirSync(trial)
  rmdirSync(trial)
  const hybrid = !unified && readdirSync(CGROUPS).includes('unified')
  return { ok: true, found: unified ? 'v2' : hybrid ? 'v1 and v2 (hybrid)' : 'v1' }
}
