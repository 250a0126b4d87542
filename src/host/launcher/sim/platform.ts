import { createHash, randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { encodeChain } from '#lib/attest'
import { concat, toHex, utf8 } from '#lib/bytes'
import { parseCertificate } from '#lib/x509'
import { currentCertificates, newestCertificates } from './certificate-store.ts'
import { createCpu } from './cpu.ts'
import { DEVICE_FILE, type DeviceFile, parseDeviceFile } from './device-file.ts'
import { type ServedDevice, serveDevice } from './device-server.ts'
import { currentIssue, newestIssue } from './issue-store.ts'
import { parsePrivateKey } from './pki/key-pairs.ts'
import { PlatformError } from './platform-error.ts'
import { FMSPC, PCE_ID } from './platform-facts.ts'
import { checkDirectory, createDirectory, listDirectory, readPrivate } from './private-directory.ts'
import { createQuotingEnclave } from './quoting-enclave.ts'
import type { Rehearsal } from './rehearsal.ts'
import { enclaveIdentity, type Secs } from './secs.ts'

/** What `platform show` tells; nothing in it is secret. Byte strings are lower-case hex. */
export interface PlatformSummary {
  readonly platform: 'simulated'
  readonly directory: string
  readonly createdAt: string
  readonly root: {
    /** SHA-256 of the certificate's DER. */
    readonly certificateSha256: string
    /** SHA-256 of the SubjectPublicKeyInfo: what a broker pins. */
    readonly publicKeySha256: string
    readonly notAfter: string
  }
  readonly ppid: string
  readonly platformInstanceId: string
  readonly fmspc: string
  readonly pceId: string
  readonly cpuSvn: string
  readonly pceSvn: number
  readonly pckSerial: string
  readonly collateral: {
    readonly number: number
    readonly tcbEvaluationDataNumber: number
    readonly issuedAt: string
    readonly validUntil: string
  }
  readonly rehearsal: Rehearsal
}

interface OpenDevice {
  readonly device: DeviceFile
  readonly certificates: DeviceFile['certificates']
}

/** A simulated machine: processor, quoting enclave and the manufacturer's services. */
export interface SimPlatform {
  /**
   * Plays the TEE device (fd 3) for one enclave that was started from `secs`. Whoever holds the
   * other end is that enclave, so it must reach nobody else. `onFailure` is for the log: it hears
   * of broken frames and of what goes wrong on this side.
   */
  serve(
    socket: Duplex,
    secs: Secs,
    options?: { readonly onFailure?: (error: unknown) => void },
  ): ServedDevice
  /** Collateral of now as JSON bytes (docs/platform-sim.md); renewed at half its life. */
  collateral(): Promise<Uint8Array>
  /** The root certificate as PEM: what `kbs root add --platform simulated` takes. */
  exportRoot(): string
  show(): Promise<PlatformSummary>
  /** Makes the platform pretend; all processes on this machine see it at once. */
  rehearse(change: Partial<Rehearsal>): Promise<PlatformSummary>
}

/**
 * Opens the platform in `directory`, and creates it first if there is none; any number of processes
 * may do so at once. Throws PlatformError PLATFORM_PERMISSIONS if others can read or write it,
 * PLATFORM_DAMAGED if something in it is missing or broken.
 */
export async function openPlatform(
  directory: string,
  options: { readonly now?: () => number } = {},
): Promise<SimPlatform> {
  const now = options.now ?? Date.now
  const { device, certificates } = await openDevice(directory, now)
  const cpu = createCpu({
    secrets: device.secrets,
    cpuSvn: device.facts.components,
    keyId: new Uint8Array(randomBytes(32)),
  })
  const quotingEnclave = createQuotingEnclave(cpu, {
    attestationKey: parsePrivateKey(device.attestationKey),
    attestationPoint: device.attestationPoint,
    qeReport: device.qeReport,
    qeReportSignature: device.qeReportSignature,
    qeAuthData: device.qeAuthData,
    qeId: device.facts.qeId,
    pceSvn: device.facts.pceSvn,
    pckChain: pckChain(certificates),
  })
  const collateral = async (): Promise<Uint8Array> => {
    const issue = await currentIssue({ directory, device, now: now() })
    return utf8(JSON.stringify(issue.collateral))
  }
  return {
    collateral,
    serve(socket, secs, { onFailure } = {}) {
      const debug = secs.debug || newestIssue(directory).rehearsal.debug
      const identity = enclaveIdentity({ ...secs, debug })
      return serveDevice({ cpu, quotingEnclave, collateral, onFailure }, socket, identity)
    },
    exportRoot: () => encodeChain(certificates.root),
    show: () => summarise(directory, device, now(), {}),
    rehearse: (change) => summarise(directory, device, now(), change),
  }
}

/** The device, and its certificates: those of its file may have been made anew. */
async function openDevice(directory: string, now: () => number): Promise<OpenDevice> {
  if (((await listDirectory(directory)) ?? []).length === 0) {
    const { provisionPlatform } = await import('./provision.ts')
    // Not being first is fine: the other's platform is opened below.
    await createDirectory(directory, await provisionPlatform(now()))
  }
  checkDirectory(directory)
  const bytes = readPrivate(directory, DEVICE_FILE)
  if (bytes === undefined) throw damaged(directory, 'is missing')
  let device: DeviceFile
  try {
    device = parseDeviceFile(bytes)
  } catch (cause) {
    throw damaged(directory, 'cannot be read', cause)
  }
  const { certificates } = await currentCertificates(directory, device, now())
  return { device, certificates }
}

/** Certification data of type 5: leaf, intermediate, root, and the NUL that Intel's tools add. */
function pckChain({ pck, pckCa, root }: DeviceFile['certificates']): Uint8Array {
  return concat(utf8(encodeChain(pck, pckCa, root)), new Uint8Array(1))
}

async function summarise(
  directory: string,
  device: DeviceFile,
  now: number,
  change: Partial<Rehearsal>,
): Promise<PlatformSummary> {
  const issue = await currentIssue({ directory, device, now, change })
  const root = parseCertificate(device.certificates.root)
  return {
    platform: 'simulated',
    directory,
    createdAt: time(device.createdAt),
    root: {
      certificateSha256: sha256(root.raw),
      publicKeySha256: sha256(root.spki),
      notAfter: time(root.notAfter),
    },
    ppid: toHex(device.facts.ppid),
    platformInstanceId: toHex(device.facts.platformInstanceId),
    fmspc: toHex(FMSPC),
    pceId: toHex(PCE_ID),
    cpuSvn: toHex(device.facts.components),
    pceSvn: device.facts.pceSvn,
    pckSerial: newestCertificates(directory, device).serials.pck.at(-1) ?? '',
    collateral: {
      number: issue.number,
      tcbEvaluationDataNumber: issue.evaluation,
      issuedAt: time(issue.issuedAt),
      validUntil: time(issue.validUntil),
    },
    rehearsal: issue.rehearsal,
  }
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

// The cause names fields of the file, never what stands in them.
function damaged(directory: string, found: string, cause?: unknown): PlatformError {
  return new PlatformError('PLATFORM_DAMAGED', `opening ${directory}: ${DEVICE_FILE} ${found}`, {
    cause,
  })
}
