import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError } from '#lib/errors'

/** Where cgroups are mounted. */
export const CGROUPS = '/sys/fs/cgroup'
/** The controllers of cgroup v1 that the OCI runtime uses for our limits. */
const CONTROLLERS = ['memory', 'cpu', 'pids', 'devices', 'freezer']

/** True where cgroup v2 alone is mounted. */
export function isUnified(): boolean {
  return existsSync(join(CGROUPS, 'cgroup.controllers'))
}

/** What the OCI runtime would miss: nothing on cgroup v2, else controllers of v1 by name. */
export function missingControllers(): readonly string[] {
  if (isUnified()) return []
  return CONTROLLERS.filter((name) => !existsSync(join(CGROUPS, name, 'cgroup.procs')))
}

/** Throws CodedError CGROUPS_MISSING where no container could be started: better said before keys are fetched. */
export function needCgroups(): void {
  const missing = missingControllers()
  if (missing.length === 0) return
  const found = `neither cgroup v2 nor ${missing.join(', ')} of v1`
  throw new CodedError('CGROUPS_MISSING', `looking for cgroups in ${CGROUPS}: ${found}`)
}
