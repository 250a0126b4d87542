/** Who certifies the simulated platform. The common names are Intel's, since verifiers demand them. */
export type Role = 'root' | 'pckCa' | 'tcbSigner' | 'pck'

/** Organisation of every simulated certificate: it must be plain at a glance that it is not Intel's. */
export const ORGANISATION = 'enclave-cc Simulated SGX (not Intel)'

/** Common names that Intel's verification library and its relatives look for. */
export const COMMON_NAMES: Readonly<Record<Role, string>> = {
  root: 'Intel SGX Root CA',
  pckCa: 'Intel SGX PCK Platform CA',
  tcbSigner: 'Intel SGX TCB Signing',
  pck: 'Intel SGX PCK Certificate',
}

/** Distribution points. `.invalid` never resolves: the collateral travels with the evidence. */
export const ROOT_CRL_URL = 'https://simulated-sgx.invalid/IntelSGXRootCA.der'
export const PCK_CRL_URL =
  'https://simulated-sgx.invalid/sgx/certification/v4/pckcrl?ca=platform&encoding=der'
