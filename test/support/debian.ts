import { execFileSync } from 'node:child_process'
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MERGED = ['bin', 'sbin', 'lib', 'lib64']
const DROPPED = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/lintian']

/**
 * Unpacks Debian packages into a folder with merged /usr, without installing them. Packages come
 * from the distribution's archive; documentation is left out. Throws where one cannot be had.
 */
export function unpackPackages(names: readonly string[], into: string): void {
  const temporary = mkdtempSync(join(tmpdir(), 'enclave-cc-deb-'))
  try {
    // a folder of apt's own user, so that it downloads unprivileged and without a warning
    const downloads = join(temporary, 'downloads')
    mkdirSync(downloads, { mode: 0o755 })
    execFileSync('chmod', ['755', temporary])
    execFileSync('chown', ['_apt', downloads])
    const apt = (...args: string[]): void =>
      void execFileSync('apt-get', ['-qq', ...args], {
        cwd: downloads,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
    try {
      apt('download', ...names)
    } catch {
      // a bare machine has no package index, another one that is too old
      apt('update')
      apt('download', ...names)
    }
    const unpacked = join(temporary, 'unpacked')
    for (const file of readdirSync(downloads)) {
      execFileSync('dpkg-deb', ['--extract', join(downloads, file), unpacked])
    }
    for (const name of DROPPED) rmSync(join(unpacked, name), { recursive: true, force: true })
    for (const name of MERGED) {
      const from = join(unpacked, name)
      if (!existsSync(from)) continue
      cpSync(from, join(unpacked, 'usr', name), {
        recursive: true,
        verbatimSymlinks: true,
        preserveTimestamps: true,
      })
      rmSync(from, { recursive: true })
    }
    cpSync(unpacked, into, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true })
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** The links and empty folders of a root with merged /usr. */
export function makeRoot(into: string): void {
  for (const name of MERGED) {
    mkdirSync(join(into, 'usr', name), { recursive: true })
    symlinkSync(`usr/${name}`, join(into, name))
  }
  for (const name of ['etc', 'proc', 'sys', 'dev', 'run', 'var/lib', 'tmp']) {
    mkdirSync(join(into, name), { recursive: true })
  }
  execFileSync('chmod', ['1777', join(into, 'tmp')])
}

/** A folder of this owner. */
export function makeOwned(path: string, uid: number, gid: number): void {
  mkdirSync(path, { recursive: true })
  chownSync(path, uid, gid)
}
