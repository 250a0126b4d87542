import { readdirSync, readFileSync } from 'node:fs'

/** Process ids of what runs for one container; undefined where there is none (yet, or any more). */
export interface PodProcesses {
  readonly supervisor: number | undefined
  readonly agent: number | undefined
  readonly init: number | undefined
}

/** Names of the processes of a pod. */
export type PodProcess = keyof PodProcesses

/** The processes that a running command (`run`, `attest`) has started, found by descent. */
export function podProcesses(command: number): PodProcesses {
  const [supervisor] = children(command).filter((pid) => runs(pid, 'supervisor.cjs'))
  return { supervisor, ...enclaves(supervisor) }
}

/** The enclaves of a supervisor. */
export function enclaves(supervisor: number | undefined): Omit<PodProcesses, 'supervisor'> {
  const started = supervisor === undefined ? [] : children(supervisor)
  const [agent] = started.filter((pid) => runs(pid, 'agent.cjs'))
  const [init] = started.filter((pid) => runs(pid, 'init.cjs'))
  return { agent, init }
}

/** Children of a process, by any of its threads. */
export function children(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter((word) => word !== '')
        .map(Number),
    )
  } catch {
    return []
  }
}

/** Children, their children, and so on. */
export function descendants(pid: number): readonly number[] {
  return children(pid).flatMap((child) => [child, ...descendants(child)])
}

function runs(pid: number, program: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`/${program}`)
  } catch {
    return false
  }
}
