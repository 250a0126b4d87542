import type { Command } from '#lib/command'
import { examine, reportText } from './doctor.ts'

const doctor: Command = {
  path: ['doctor'],
  summary: 'Check what this machine offers',
  example: 'enclave-cc doctor --json',
  async run({ places }) {
    const { MACHINE_PROBES } = await import('./probes/machine.ts')
    const { RUNTIME_PROBES } = await import('./probes/runtime.ts')
    const { filesystemProbes } = await import('./probes/filesystems.ts')
    const report = await examine([
      ...MACHINE_PROBES,
      ...filesystemProbes(places.root),
      ...RUNTIME_PROBES,
    ])
    return { document: report, text: reportText(report), exitCode: report.ok ? 0 : 1 }
  },
}

/** Commands that look at this machine. */
export const commands: readonly Command[] = [doctor]
