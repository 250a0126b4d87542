import { type Probe, type ProbeResult, runProbe } from './probe.ts'

/** What `enclave-cc doctor` prints with `--json`. */
export interface DoctorReport {
  /** Every required probe passed. */
  readonly ok: boolean
  readonly probes: readonly ProbeResult[]
}

/** Runs the probes one after the other: some prepare what later ones use. */
export async function examine(probes: readonly Probe[]): Promise<DoctorReport> {
  const results: ProbeResult[] = []
  for (const probe of probes) results.push(await runProbe(probe))
  return { ok: results.every(({ ok, required }) => ok || !required), probes: results }
}

/** The report for people: a line a probe, and below it what to do. */
export function reportText({ ok, probes }: DoctorReport): string {
  const width = Math.max(...probes.map(({ name }) => name.length))
  const lines = probes.flatMap((probe) => {
    const mark = probe.ok ? 'ok  ' : probe.required ? 'FAIL' : 'note'
    const line = `${mark}  ${probe.name.padEnd(width)}  ${probe.found}`
    return probe.ok
      ? [line]
      : [`${line} (needed: ${probe.needed})`, `      ${' '.repeat(width)}  next: ${probe.next}`]
  })
  lines.push(ok ? 'This machine can run containers.' : 'This machine cannot run containers yet.')
  return lines.join('\n')
}
