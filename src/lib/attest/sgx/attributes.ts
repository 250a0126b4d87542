/** Bits of ATTRIBUTES.FLAGS (SDM vol. 3D, "ATTRIBUTES"). */
export const FLAGS = {
  /** Set by EINIT: the enclave is complete. */
  INIT: 0x01n,
  /** The host may read the enclave's memory. */
  DEBUG: 0x02n,
  MODE64BIT: 0x04n,
  /** May derive the provisioning keys: only for the platform's own enclaves. */
  PROVISIONKEY: 0x10n,
  /** A launch enclave. */
  EINITTOKENKEY: 0x20n,
  CET: 0x40n,
  /** Key separation and sharing: CONFIGID and its relatives carry meaning. */
  KSS: 0x80n,
  AEXNOTIFY: 0x400n,
} as const
