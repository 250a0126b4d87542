import { aesCmac, FLAGS, KEY_NAME, KEY_POLICY, type KeyRequest, type TargetInfo } from '#lib/attest'
import { Writer } from '#lib/bytes'
import { TeeDeviceError } from '#protocol/tee-device'
import type { EnclaveIdentity } from './secs.ts'

/** Fused secrets of a simulated processor, 16 random bytes each. */
export interface CpuSecrets {
  /** Root of report keys. */
  readonly reportRoot: Uint8Array
  /** Root of sealing keys. */
  readonly sealRoot: Uint8Array
  /** OWNEREPOCH. */
  readonly ownerEpoch: Uint8Array
}

/**
 * Everything a key may depend on; what a key does not depend on stays zero. The layout is our own,
 * for nothing outside the processor sees it, but each field has its fixed place, so that two
 * different sets of inputs never give one record.
 */
interface KeyDependencies {
  readonly keyName: number
  readonly keyPolicy: number
  readonly keyId: Uint8Array
  readonly mrEnclave: Uint8Array
  readonly mrSigner: Uint8Array
  readonly flags: bigint
  readonly xfrm: bigint
  readonly flagsMask: bigint
  readonly xfrmMask: bigint
  readonly miscSelect: number
  readonly miscMask: number
  readonly configId: Uint8Array
  readonly configSvn: number
  readonly isvProdId: number
  readonly isvSvn: number
  readonly cpuSvn: Uint8Array
  readonly isvFamilyId: Uint8Array
  readonly isvExtProdId: Uint8Array
  readonly ownerEpoch: Uint8Array
}

/** Policy bits that mean something only to an enclave with KSS (SDM, EGETKEY). */
const KSS_POLICIES =
  KEY_POLICY.NOISVPRODID | KEY_POLICY.CONFIGID | KEY_POLICY.ISVFAMILYID | KEY_POLICY.ISVEXTPRODID

const ALL_POLICIES = KSS_POLICIES | KEY_POLICY.MRENCLAVE | KEY_POLICY.MRSIGNER

/** Attributes that every sealing key is bound to, whatever the mask says: a debug twin gets other keys. */
const FORCED_FLAGS = FLAGS.INIT | FLAGS.DEBUG

/** The key that MACs reports made for `target`, selected by `keyId` (32 bytes). */
export function reportKey(
  secrets: CpuSecrets,
  cpuSvn: Uint8Array,
  target: TargetInfo,
  keyId: Uint8Array,
): Uint8Array {
  return derive(secrets.reportRoot, {
    ...NOTHING,
    keyName: KEY_NAME.REPORT,
    keyId,
    mrEnclave: target.mrEnclave,
    flags: target.flags,
    xfrm: target.xfrm,
    miscSelect: target.miscSelect,
    configId: target.configId,
    configSvn: target.configSvn,
    cpuSvn,
    ownerEpoch: secrets.ownerEpoch,
  })
}

/**
 * The sealing key (SEAL or PROVISION_SEAL) of an enclave. Throws TeeDeviceError TEE_KEY_REFUSED for
 * a newer ISVSVN, CPUSVN or CONFIGSVN than the enclave and the platform have, for policy bits that
 * are reserved or need KSS, and for PROVISION_SEAL without the provisioning attribute.
 */
export function sealKey(
  secrets: CpuSecrets,
  cpuSvn: Uint8Array,
  self: EnclaveIdentity,
  request: KeyRequest,
): Uint8Array {
  const provisioning = request.keyName === KEY_NAME.PROVISION_SEAL
  if (provisioning && (self.flags & FLAGS.PROVISIONKEY) === 0n) {
    throw refused('PROVISION_SEAL needs the attribute PROVISIONKEY')
  }
  checkPolicy(self, request.keyPolicy)
  if (request.isvSvn > self.isvSvn) throw refused('ISVSVN is above that of the enclave')
  if (request.cpuSvn.some((svn, i) => svn > (cpuSvn[i] ?? 0))) {
    throw refused('CPUSVN is above that of the platform')
  }
  const bound = (bit: number): boolean => (request.keyPolicy & bit) !== 0
  if (bound(KEY_POLICY.CONFIGID) && request.configSvn > self.configSvn) {
    throw refused('CONFIGSVN is above that of the enclave')
  }
  const flagsMask = request.flagsMask | FORCED_FLAGS
  return derive(secrets.sealRoot, {
    keyName: request.keyName,
    keyPolicy: request.keyPolicy,
    keyId: request.keyId,
    mrEnclave: !provisioning && bound(KEY_POLICY.MRENCLAVE) ? self.mrEnclave : NOTHING.mrEnclave,
    mrSigner: provisioning || bound(KEY_POLICY.MRSIGNER) ? self.mrSigner : NOTHING.mrSigner,
    flags: self.flags & flagsMask,
    xfrm: self.xfrm & request.xfrmMask,
    flagsMask,
    xfrmMask: request.xfrmMask,
    miscSelect: (self.miscSelect & request.miscMask) >>> 0,
    miscMask: request.miscMask,
    configId: bound(KEY_POLICY.CONFIGID) ? self.configId : NOTHING.configId,
    configSvn: bound(KEY_POLICY.CONFIGID) ? request.configSvn : 0,
    isvProdId: bound(KEY_POLICY.NOISVPRODID) ? 0 : self.isvProdId,
    isvSvn: request.isvSvn,
    cpuSvn: request.cpuSvn,
    isvFamilyId: bound(KEY_POLICY.ISVFAMILYID) ? self.isvFamilyId : NOTHING.isvFamilyId,
    isvExtProdId: bound(KEY_POLICY.ISVEXTPRODID) ? self.isvExtProdId : NOTHING.isvExtProdId,
    // Provisioning seals survive a change of the owner; ordinary ones end with it.
    ownerEpoch: provisioning ? NOTHING.ownerEpoch : secrets.ownerEpoch,
  })
}

/** A refusal of EGETKEY; `found` says which input it was. */
export function refused(found: string): TeeDeviceError {
  return new TeeDeviceError('TEE_KEY_REFUSED', `deriving a key of the enclave: ${found}`)
}

function checkPolicy(self: EnclaveIdentity, policy: number): void {
  if ((policy & ~ALL_POLICIES) !== 0) throw refused('KEYPOLICY has reserved bits')
  if ((policy & KSS_POLICIES) !== 0 && (self.flags & FLAGS.KSS) === 0n) {
    throw refused('KEYPOLICY has bits that need the attribute KSS')
  }
}

function derive(root: Uint8Array, inputs: KeyDependencies): Uint8Array {
  const record = new Writer()
    .u16le(inputs.keyName)
    .u16le(inputs.keyPolicy)
    .bytes(inputs.keyId)
    .bytes(inputs.mrEnclave)
    .bytes(inputs.mrSigner)
    .u64le(inputs.flags)
    .u64le(inputs.xfrm)
    .u64le(inputs.flagsMask)
    .u64le(inputs.xfrmMask)
    .u32le(inputs.miscSelect)
    .u32le(inputs.miscMask)
    .bytes(inputs.configId)
    .u16le(inputs.configSvn)
    .u16le(inputs.isvProdId)
    .u16le(inputs.isvSvn)
    .bytes(inputs.cpuSvn)
    .bytes(inputs.isvFamilyId)
    .bytes(inputs.isvExtProdId)
    .bytes(inputs.ownerEpoch)
    .finish()
  if (record.length !== RECORD_SIZE) throw new RangeError('a key input has another size')
  return aesCmac(root, record)
}

/** Names 4, KEYID 32, measurements 64, attributes 32, MISC 8, CONFIG 66, PRODID and SVN 4, four 16-byte inputs. */
const RECORD_SIZE = 2 + 2 + 32 + 64 + 32 + 8 + 66 + 4 + 64

const NOTHING: KeyDependencies = {
  keyName: 0,
  keyPolicy: 0,
  keyId: new Uint8Array(32),
  mrEnclave: new Uint8Array(32),
  mrSigner: new Uint8Array(32),
  flags: 0n,
  xfrm: 0n,
  flagsMask: 0n,
  xfrmMask: 0n,
  miscSelect: 0,
  miscMask: 0,
  configId: new Uint8Array(64),
  configSvn: 0,
  isvProdId: 0,
  isvSvn: 0,
  cpuSvn: new Uint8Array(16),
  isvFamilyId: new Uint8Array(16),
  isvExtProdId: new Uint8Array(16),
  ownerEpoch: new Uint8Array(16),
}
