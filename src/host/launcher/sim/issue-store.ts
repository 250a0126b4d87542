import { readdirSync } from 'node:fs'
import { readAuthority } from './authority-file.ts'
import { newestCertificates } from './certificate-store.ts'
import type { DeviceFile } from './device-file.ts'
import {
  encodeIssueFile,
  type Issue,
  issueName,
  issueNumber,
  makeIssue,
  needsRenewal,
  parseIssueFile,
} from './issue.ts'
import { PlatformError } from './platform-error.ts'
import { addFile, readPrivate, removeFile } from './private-directory.ts'
import { NORMAL, type Rehearsal } from './rehearsal.ts'

/** Attempts against other processes that issue or remove at the same time. */
const ATTEMPTS = 16

/**
 * The newest issue of a platform, as all processes see it. PlatformError PLATFORM_DAMAGED if there
 * is none.
 */
export function newestIssue(directory: string): Issue {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const newest = Math.max(...issueNumbers(directory))
    const bytes = Number.isFinite(newest) ? readPrivate(directory, issueName(newest)) : undefined
    // Gone between listing and reading: a newer one exists then.
    if (bytes === undefined) continue
    try {
      return parseIssueFile(bytes)
    } catch (cause) {
      throw damaged(directory, `${issueName(newest)} cannot be read`, cause)
    }
  }
  throw damaged(directory, 'it has no issue of collateral')
}

/**
 * The newest issue, after `change` and with validity left: another one is signed only if one of
 * both asks for it. Several processes may do this at once; every change is kept.
 */
export async function currentIssue(options: {
  readonly directory: string
  readonly device: DeviceFile
  readonly now: number
  readonly change?: Partial<Rehearsal>
}): Promise<Issue> {
  const { directory, device, now } = options
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const newest = newestIssue(directory)
    const rehearsal: Rehearsal = { ...newest.rehearsal, ...options.change }
    // Not those that this process was started with: its issue must last for others too.
    const certificates = newestCertificates(directory, device)
    const fresh = !needsRenewal(newest, now) && newest.certificates >= certificates.number
    if (same(rehearsal, newest.rehearsal) && fresh) return newest
    const issue = await makeIssue({
      device,
      keys: readAuthority(directory),
      certificates,
      now,
      number: newest.number + 1,
      evaluation: newest.evaluation + (sameLevels(rehearsal, newest.rehearsal) ? 0 : 1),
      rehearsal,
    })
    if (await addFile(directory, issueName(issue.number), encodeIssueFile(issue))) {
      await removeOlder(directory, issue.number)
      // A name that was free only because newer issues had let it go: the change is not in them.
      if (newestIssue(directory).number === issue.number) return issue
    }
  }
  throw new PlatformError('PLATFORM_DAMAGED', `issuing collateral in ${directory}: others keep on`)
}

/** Its predecessor stays: another process may be about to read it. */
async function removeOlder(directory: string, number: number): Promise<void> {
  for (const old of issueNumbers(directory).filter((n) => n < number - 1)) {
    await removeFile(directory, issueName(old))
  }
}

function issueNumbers(directory: string): number[] {
  return readdirSync(directory).flatMap((name) => issueNumber(name) ?? [])
}

function same(a: Rehearsal, b: Rehearsal): boolean {
  return (Object.keys(NORMAL) as (keyof Rehearsal)[]).every((name) => a[name] === b[name])
}

function sameLevels(a: Rehearsal, b: Rehearsal): boolean {
  return a.tcb === b.tcb && a.qe === b.qe
}

function damaged(directory: string, found: string, cause?: unknown): PlatformError {
  return new PlatformError('PLATFORM_DAMAGED', `opening ${directory}: ${found}`, { cause })
}
