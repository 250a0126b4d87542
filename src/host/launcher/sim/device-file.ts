import { toBase64, toHex } from '#lib/bytes'
import { base64, hex, integer, object, parseJson } from '#lib/json'
import type { CpuSecrets } from './key-dependencies.ts'
import type { Role } from './pki/names.ts'
import type { PlatformFacts } from './platform-facts.ts'

/** Everything that a device is served from. Written once, when the platform is created. */
export interface DeviceFile {
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly facts: PlatformFacts
  readonly secrets: CpuSecrets
  /** PKCS #8. */
  readonly attestationKey: Uint8Array
  readonly attestationPoint: Uint8Array
  readonly qeReport: Uint8Array
  readonly qeReportSignature: Uint8Array
  readonly qeAuthData: Uint8Array
  /** DER. */
  readonly certificates: Readonly<Record<Role, Uint8Array>>
}

/** Its name in the platform directory. */
export const DEVICE_FILE = 'device.json'

/** Text of the file. It holds secrets. */
export function encodeDeviceFile(file: DeviceFile): string {
  const { facts, secrets, certificates } = file
  return `${JSON.stringify({
    version: 1,
    createdAt: file.createdAt,
    facts: {
      ppid: toHex(facts.ppid),
      platformInstanceId: toHex(facts.platformInstanceId),
      qeId: toHex(facts.qeId),
      components: toHex(facts.components),
      pceSvn: facts.pceSvn,
    },
    secrets: {
      reportRoot: toBase64(secrets.reportRoot),
      sealRoot: toBase64(secrets.sealRoot),
      ownerEpoch: toBase64(secrets.ownerEpoch),
    },
    attestationKey: toBase64(file.attestationKey),
    attestationPoint: toBase64(file.attestationPoint),
    qeReport: toBase64(file.qeReport),
    qeReportSignature: toBase64(file.qeReportSignature),
    qeAuthData: toBase64(file.qeAuthData),
    certificates: {
      root: toBase64(certificates.root),
      pckCa: toBase64(certificates.pckCa),
      tcbSigner: toBase64(certificates.tcbSigner),
      pck: toBase64(certificates.pck),
    },
  })}\n`
}

/** Reads the file. FormatError for anything that this version did not write. */
export function parseDeviceFile(bytes: Uint8Array): DeviceFile {
  const file = object(parseJson(bytes, { name: DEVICE_FILE }), DEVICE_FILE, [
    'version',
    'createdAt',
    'facts',
    'secrets',
    'attestationKey',
    'attestationPoint',
    'qeReport',
    'qeReportSignature',
    'qeAuthData',
    'certificates',
  ])
  integer(file.version, 'version', 1, 1)
  const facts = object(file.facts, 'facts')
  const secrets = object(file.secrets, 'secrets')
  const certificates = object(file.certificates, 'certificates')
  return {
    createdAt: integer(file.createdAt, 'createdAt'),
    facts: {
      ppid: hex(facts.ppid, 'ppid', 16),
      platformInstanceId: hex(facts.platformInstanceId, 'platformInstanceId', 16),
      qeId: hex(facts.qeId, 'qeId', 16),
      components: hex(facts.components, 'components', 16),
      pceSvn: integer(facts.pceSvn, 'pceSvn', 0, 0xffff),
    },
    secrets: {
      reportRoot: base64(secrets.reportRoot, 'reportRoot', 16),
      sealRoot: base64(secrets.sealRoot, 'sealRoot', 16),
      ownerEpoch: base64(secrets.ownerEpoch, 'ownerEpoch', 16),
    },
    attestationKey: base64(file.attestationKey, 'attestationKey'),
    attestationPoint: base64(file.attestationPoint, 'attestationPoint', 64),
    qeReport: base64(file.qeReport, 'qeReport', 384),
    qeReportSignature: base64(file.qeReportSignature, 'qeReportSignature', 64),
    qeAuthData: base64(file.qeAuthData, 'qeAuthData', 32),
    certificates: {
      root: base64(certificates.root, 'root'),
      pckCa: base64(certificates.pckCa, 'pckCa'),
      tcbSigner: base64(certificates.tcbSigner, 'tcbSigner'),
      pck: base64(certificates.pck, 'pck'),
    },
  }
}
