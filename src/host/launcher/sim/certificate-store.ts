import { readdirSync } from 'node:fs'
import { toBase64 } from '#lib/bytes'
import { base64, integer, object, parseJson } from '#lib/json'
import { parseCertificate } from '#lib/x509'
import { readAuthority } from './authority-file.ts'
import type { DeviceFile } from './device-file.ts'
import type { RenewableRole } from './pki/certificates.ts'
import type { Role } from './pki/names.ts'
import { PlatformError } from './platform-error.ts'
import { addFile, readPrivate } from './private-directory.ts'

/** Certificates are made anew in the last of their years, so that whoever runs on has one to start again. */
const RENEWED_BEFORE_END = 365 * 86_400_000

/** Certificates of a platform, and which issue of them it is. */
export interface PlatformCertificates {
  /** 0 for those that the platform was made with. */
  readonly number: number
  /** DER. */
  readonly certificates: Readonly<Record<Role, Uint8Array>>
  /** Of all there ever were, newest last: a process that runs on still shows its own. */
  readonly serials: Readonly<Record<RenewableRole, readonly string[]>>
}

/** Those that the platform was made with. */
export function originalCertificates({ certificates }: DeviceFile): PlatformCertificates {
  return { number: 0, certificates, serials: withSerials(NO_SERIALS, certificates) }
}

/** The newest certificates, as all processes see them. PlatformError PLATFORM_DAMAGED. */
export function newestCertificates(directory: string, device: DeviceFile): PlatformCertificates {
  let newest = originalCertificates(device)
  for (const number of certificateNumbers(directory)) {
    const renewed = readCertificates(directory, number)
    const certificates = { ...device.certificates, ...renewed }
    newest = { number, certificates, serials: withSerials(newest.serials, renewed) }
  }
  return newest
}

/**
 * The newest certificates, made anew if one of them is about to end or the clock stands before them.
 * Of several processes that do so at once one wins, and all get what it made.
 */
export async function currentCertificates(
  directory: string,
  device: DeviceFile,
  now: number,
): Promise<PlatformCertificates> {
  const newest = newestCertificates(directory, device)
  if (!needsRenewal(newest, now)) return newest
  const { issueBelowRoot } = await import('./pki/certificates.ts')
  const made = await issueBelowRoot(device.facts, readAuthority(directory), now)
  await addFile(directory, fileName(newest.number + 1), encodeCertificates(made))
  return newestCertificates(directory, device)
}

function needsRenewal({ certificates }: PlatformCertificates, now: number): boolean {
  return [certificates.pckCa, certificates.tcbSigner, certificates.pck]
    .map(parseCertificate)
    .some(({ notBefore, notAfter }) => now < notBefore || now > notAfter - RENEWED_BEFORE_END)
}

function certificateNumbers(directory: string): number[] {
  return readdirSync(directory)
    .flatMap((name) => /^certificates-(\d{10})\.json$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

function fileName(number: number): string {
  return `certificates-${String(number).padStart(10, '0')}.json`
}

function encodeCertificates(certificates: Readonly<Record<RenewableRole, Uint8Array>>): string {
  const { pckCa, tcbSigner, pck } = certificates
  const text = { pckCa: toBase64(pckCa), tcbSigner: toBase64(tcbSigner), pck: toBase64(pck) }
  return `${JSON.stringify({ version: 1, certificates: text })}\n`
}

function readCertificates(directory: string, number: number): Record<RenewableRole, Uint8Array> {
  const name = fileName(number)
  try {
    const bytes = readPrivate(directory, name) ?? new Uint8Array(0)
    const file = object(parseJson(bytes, { name }), name, ['version', 'certificates'])
    integer(file.version, 'version', 1, 1)
    const roles = object(file.certificates, 'certificates', ['pckCa', 'tcbSigner', 'pck'])
    const certificates = {
      pckCa: base64(roles.pckCa, 'pckCa'),
      tcbSigner: base64(roles.tcbSigner, 'tcbSigner'),
      pck: base64(roles.pck, 'pck'),
    }
    for (const der of Object.values(certificates)) parseCertificate(der)
    return certificates
  } catch (cause) {
    if (cause instanceof PlatformError) throw cause
    const what = `opening ${directory}: ${name} cannot be read`
    throw new PlatformError('PLATFORM_DAMAGED', what, { cause })
  }
}

const NO_SERIALS: PlatformCertificates['serials'] = { pckCa: [], tcbSigner: [], pck: [] }

function withSerials(
  known: PlatformCertificates['serials'],
  made: Readonly<Record<RenewableRole, Uint8Array>>,
): PlatformCertificates['serials'] {
  const more = (role: RenewableRole): readonly string[] => [
    ...known[role],
    parseCertificate(made[role]).serial,
  ]
  return { pckCa: more('pckCa'), tcbSigner: more('tcbSigner'), pck: more('pck') }
}
