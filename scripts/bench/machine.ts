import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import type { Machine } from './document.ts'

/** This machine. */
export function machine(): Machine {
  const all = cpus()
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
  }
}

/** Version of an installed Debian package; undefined if it is not installed. */
export function packageVersion(name: string): string | undefined {
  try {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format, not ours
    const args = ['-W', '-f', '${db:Status-Status} ${Version}', name]
    const [status, version] = execFileSync('dpkg-query', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).split(' ')
    return status === 'installed' ? version : undefined
  } catch {
    return undefined
  }
}

/** The commit that is measured, with `+` where the work tree differs. */
export function commit(top: string): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: top, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no', 'src').trim() !== ''
    return `${git('rev-parse', '--short=12', 'HEAD').trim()}${changed ? '+' : ''}`
  } catch {
    return 'unknown'
  }
}
