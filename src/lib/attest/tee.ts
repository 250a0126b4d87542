/** What a platform can or cannot do; drivers differ, callers ask instead of guessing. */
export interface TeeCapabilities {
  /** True where two enclaves of one machine can check each other's reports. */
  readonly localReports: boolean
}

/**
 * The trusted hardware as an enclave sees it, one driver a platform. All byte
 * layouts are those of SGX: TARGETINFO 512 bytes, REPORT 432, report data 64.
 */
export interface Tee {
  /** What a verifier will find: `simulated` protects nothing from the host. */
  readonly platform: 'simulated' | 'sgx'
  readonly capabilities: TeeCapabilities
  /** TARGETINFO of this enclave: give it to a peer that shall make a report for us. */
  targetInfo(): Promise<Uint8Array>
  /** A REPORT of this enclave that only the enclave of `targetInfo` can check. */
  report(targetInfo: Uint8Array, reportData: Uint8Array): Promise<Uint8Array>
  /** True if the platform made this REPORT for this enclave, on this machine. It says nothing of freshness. */
  verifyReport(report: Uint8Array): Promise<boolean>
  /** A quote over `reportData` (64 bytes) that a remote verifier can check. */
  quote(reportData: Uint8Array): Promise<Uint8Array>
  /** 32 key bytes for `label`, bound to this very build (`enclave`) or to its author and product (`signer`). */
  sealingKey(policy: 'enclave' | 'signer', label: string): Promise<Uint8Array>
  /** Collateral as JSON bytes, where the platform's root has no online service (the simulated one). */
  collateral?(): Promise<Uint8Array>
}
