import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const skip = process.getuid?.() === 0 ? false : 'needs root'
if (skip) console.log(`skip: own root: ${skip}`)

/** A process that is chrooted into a tmpfs, and then tries the classic way out. */
function tryToLeave(folder: string, letGo: boolean): string {
  const script = `
    import { existsSync, mkdirSync } from 'node:fs'
    import { libc } from '#platform/ffi'
    import { linuxMounts } from '#platform/mount'
    import { becomeOwnRoot, enterPrivateMounts } from '#platform/process'
    enterPrivateMounts()
    linuxMounts.mount({ source: 'tmpfs', target: '${folder}', type: 'tmpfs', flags: 0 })
    libc.chroot('${folder}')
    libc.chdir('/')
    for (const name of ['/run', '/inside', '/x']) mkdirSync(name)
    if (${letGo}) becomeOwnRoot('/run')
    const atHome = existsSync('/inside')
    libc.chroot('/x')
    for (let i = 0; i < 64; i += 1) libc.chdir('..')
    libc.chroot('.')
    process.stdout.write([atHome, existsSync('/inside'), existsSync('${import.meta.filename}')].join())`
  return execFileSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', script],
    { encoding: 'utf8', timeout: 20_000, cwd: join(import.meta.dirname, '../..') },
  )
}

test('a container cannot walk up from the bundle into the root of the host', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-root-'))
  try {
    // The control: from a mere chroot this way leads out.
    assert.equal(tryToLeave(folder, false), 'true,false,true')
    assert.equal(tryToLeave(folder, true), 'true,true,false')
  } finally {
    rmdirSync(folder)
  }
})
