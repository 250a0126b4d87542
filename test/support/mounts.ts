import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Unmounts everything below a folder in this mount namespace, deepest first. */
export function unmountBelow(folder: string): void {
  const targets = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)
  for (const target of targets) execFileSync('umount', ['--lazy', target])
}
