import { hkdfSync } from 'node:crypto'
import { encodeKeyRequest, KEY_NAME, KEY_POLICY, type ReportBody } from '#lib/attest'
import { utf8 } from '#lib/bytes'
import type { DeviceClient } from './device-client.ts'

/** Masks of Intel's SDK: every security attribute, no processor feature that may come and go. */
const FLAGS_MASK = 0xff0000000000000bn
const MISC_MASK = 0xf0000000

/** Longest label in bytes. */
const MAX_LABEL = 256

/**
 * 32 key bytes for `label` from EGETKEY(SEAL) and HKDF-SHA256. CONFIGID is always bound: the same
 * build started for another owner's init-data must not open what was sealed for the first one.
 * `enclave` adds MRENCLAVE, `signer` MRSIGNER; both bind ISVPRODID and the own ISVSVN and CPUSVN,
 * so an older build never gets the key of a newer one. Strength: the 128 bits of the CPU's key.
 */
export async function deriveSealingKey(
  device: DeviceClient,
  self: ReportBody,
  policy: 'enclave' | 'signer',
  label: string,
): Promise<Uint8Array> {
  const info = utf8(label)
  if (info.length === 0 || info.length > MAX_LABEL) {
    throw new RangeError(`a sealing label has 1 to ${MAX_LABEL} bytes`)
  }
  const request = encodeKeyRequest({
    keyName: KEY_NAME.SEAL,
    keyPolicy:
      KEY_POLICY.CONFIGID | (policy === 'enclave' ? KEY_POLICY.MRENCLAVE : KEY_POLICY.MRSIGNER),
    isvSvn: self.isvSvn,
    cpuSvn: self.cpuSvn,
    flagsMask: FLAGS_MASK,
    xfrmMask: 0n,
    keyId: new Uint8Array(32),
    miscMask: MISC_MASK,
    configSvn: self.configSvn,
  })
  const key = await device.call('key', request)
  try {
    const salt = utf8('enclave-cc sealing key v1')
    return new Uint8Array(hkdfSync('sha256', key, salt, info, 32))
  } finally {
    key.fill(0)
  }
}
