import type { CodeRow, CodeTable } from './coded-error.ts'
import { AGENT_CODES } from './codes/agent.ts'
import { ATTEST_CODES } from './codes/attest.ts'
import { BUNDLE_CODES } from './codes/bundle.ts'
import { GENERAL_CODES } from './codes/general.ts'
import { HANDOVER_CODES } from './codes/handover.ts'
import { IMAGE_PROTECTION_CODES } from './codes/image-protection.ts'
import { IMAGE_TRANSPORT_CODES } from './codes/image-transport.ts'
import { INIT_DATA_CODES } from './codes/initdata.ts'
import { KBS_CODES } from './codes/kbs.ts'
import { LAUNCH_CODES } from './codes/launch.ts'
import { LAYER_CODES } from './codes/layer.ts'
import { NETWORK_CODES } from './codes/network.ts'
import { NODE_CODES } from './codes/node.ts'
import { OCI_CODES } from './codes/oci.ts'
import { POLICY_CODES } from './codes/policy.ts'
import { TEE_DEVICE_CODES } from './codes/tee-device.ts'
import { TTRPC_CODES } from './codes/ttrpc.ts'

/**
 * Every stable code of CLI, broker and agent. One file an area in `codes/`;
 * `docs/errors.md` is generated from this table and a test keeps both equal.
 */
export const CODES: CodeTable = {
  ...GENERAL_CODES,
  ...BUNDLE_CODES,
  ...NODE_CODES,
  ...OCI_CODES,
  ...NETWORK_CODES,
  ...IMAGE_TRANSPORT_CODES,
  ...TTRPC_CODES,
  ...HANDOVER_CODES,
  ...AGENT_CODES,
  ...INIT_DATA_CODES,
  ...KBS_CODES,
  ...POLICY_CODES,
  ...IMAGE_PROTECTION_CODES,
  ...LAUNCH_CODES,
  ...LAYER_CODES,
  ...TEE_DEVICE_CODES,
  ...ATTEST_CODES,
}

/** The table's row of a code; undefined for a code that is not ours. */
export function codeRow(code: string): CodeRow | undefined {
  return Object.hasOwn(CODES, code) ? CODES[code] : undefined
}
