/** Codes of quote verification, in the order of the checks (docs/formats/quote.md). */
export const ATTEST_CODES = {
  TRUST_ANCHOR_FORMAT: {
    meaning: 'The file is not a self-signed ECDSA P-256 root certificate.',
    next: 'pass the file that enclave-cc platform export-root wrote, or the root of Intel',
  },
  QUOTE_FORMAT: {
    meaning: 'The bytes are not a quote: a length, a reserved field or the end is wrong.',
    next: 'take a new quote; if it repeats, it was damaged or edited on its way',
  },
  QUOTE_VERSION: {
    meaning: 'The quote has a version that is not supported.',
    next: 'use a platform that produces quotes of version 3, 4 or 5',
  },
  QUOTE_TEE_TYPE: {
    meaning: 'The quote is about another technology than the one asked for: SGX or TDX.',
    next: 'use evidence of an SGX platform; quote verify reads quotes of TDX too',
  },
  QUOTE_ATT_KEY_TYPE: {
    meaning: 'The quote is signed with an algorithm other than ECDSA P-256.',
    next: 'configure the platform for ECDSA attestation (DCAP)',
  },
  QUOTE_QE_VENDOR: {
    meaning: 'The quote names a quoting enclave of an unknown vendor.',
    next: 'use the quoting enclave that came with the platform software',
  },
  QUOTE_CERT_DATA_TYPE: {
    meaning: 'The quote carries no PCK certificate chain and none was supplied.',
    next: 'supply pckCertChain.pem with the collateral',
  },
  PCK_CHAIN_LENGTH: {
    meaning: 'The PCK chain does not have exactly three certificates.',
    next: 'take a new quote; if it repeats, it was damaged or edited on its way',
  },
  PCK_CHAIN_FORMAT: {
    meaning: 'The PCK chain cannot be parsed as certificates of the Intel profile.',
    next: 'take a new quote; if it repeats, it was damaged or edited on its way',
  },
  ROOT_UNTRUSTED: {
    meaning: 'The chain ends in a root key that is not among the trust anchors.',
    next: 'the evidence does not come from a platform of this root; check --trust-anchor',
  },
  PCK_SUBJECT: {
    meaning: 'A certificate of the PCK chain has a name that its place does not allow.',
    next: 'the evidence does not come from a platform of this root; check --trust-anchor',
  },
  CHAIN_NAME: {
    meaning: 'A certificate names another issuer than the one above it.',
    next: 'the evidence does not come from a platform of this root; check --trust-anchor',
  },
  CHAIN_SIGNATURE: {
    meaning: 'A certificate was not signed by the one above it.',
    next: 'the evidence does not come from a platform of this root; check --trust-anchor',
  },
  CHAIN_CA_FLAG: {
    meaning: 'A certificate acts as an authority without the right, or the other way round.',
    next: 'the evidence does not come from a platform of this root; check --trust-anchor',
  },
  CERT_NOT_YET_VALID: {
    meaning: 'A certificate of a chain is not valid yet.',
    next: 'check the clock of the verifier',
  },
  CERT_EXPIRED: {
    meaning: 'A certificate of a chain has expired.',
    next: 'fetch the collateral and the PCK certificate again',
  },
  PCK_EXTENSION: {
    meaning: 'The SGX extension of the PCK certificate is missing or malformed.',
    next: 'the evidence does not come from a platform of this root; check --trust-anchor',
  },
  CRL_FORMAT: {
    meaning: 'A revocation list is missing or malformed.',
    next: 'fetch the collateral again',
  },
  CRL_ISSUER: {
    meaning: 'A revocation list was issued by another authority than the one it is needed for.',
    next: 'the collateral was edited or is not from this root; fetch it again from its source',
  },
  CRL_SIGNATURE: {
    meaning: 'The signature of a revocation list is not good.',
    next: 'the collateral was edited or is not from this root; fetch it again from its source',
  },
  CRL_NOT_YET_VALID: {
    meaning: 'A revocation list is dated in the future.',
    next: 'check the clock of the verifier, then fetch the collateral again',
  },
  CRL_EXPIRED: {
    meaning: 'A revocation list is out of date.',
    next: 'fetch the collateral again',
  },
  INTERMEDIATE_REVOKED: {
    meaning: 'The authority that issued the PCK certificate is revoked.',
    next: 'do not trust this platform',
  },
  PCK_REVOKED: {
    meaning: 'The PCK certificate of the platform is revoked.',
    next: 'do not trust this platform',
  },
  COLLATERAL_FORMAT: {
    meaning: 'A set of collateral is incomplete or not in the documented form.',
    next: 'fetch the collateral again',
  },
  COLLATERAL_ROLLBACK: {
    meaning: 'Collateral is older than what is already there: a number of its issuer went back.',
    next: 'the source serves an old copy; fetch from Intel or refresh the cache that is asked',
  },
  COLLATERAL_UNAVAILABLE: {
    meaning: 'The collateral service did not answer as it should.',
    next: 'check --pccs and the service; try again later',
    retryable: true,
  },
  COLLATERAL_NOT_FOUND: {
    meaning: 'The collateral service has nothing for this platform.',
    next: 'check the FMSPC; on a PCCS, refresh its cache or register the platform',
  },
  COLLATERAL_KEY: {
    meaning: 'The key of a collateral bundle is no Ed25519 or EC P-256 key in PEM.',
    next: 'make one, for example with enclave-cc keygen encryption',
  },
  COLLATERAL_BUNDLE_FORMAT: {
    meaning: 'The file is no bundle of collateral.',
    next: 'take the file that enclave-cc collateral export wrote',
  },
  COLLATERAL_BUNDLE_SIGNATURE: {
    meaning: 'The bundle of collateral was not signed by this key, or was changed since.',
    next: 'check --key; export the bundle again',
  },
  TCB_SIGNER_FORMAT: {
    meaning: 'The issuer chain of TCB info or QE identity is not two certificates of the profile.',
    next: 'the collateral was edited or is not from this root; fetch it again from its source',
  },
  TCB_SIGNER_SUBJECT: {
    meaning: 'TCB info or QE identity was signed by a certificate of another purpose.',
    next: 'the collateral was edited or is not from this root; fetch it again from its source',
  },
  TCB_SIGNER_REVOKED: {
    meaning: 'The certificate that signs TCB info or QE identity is revoked.',
    next: 'fetch the collateral again',
  },
  TCB_INFO_SIGNATURE: {
    meaning: 'The signature of the TCB info is not good.',
    next: 'the collateral was edited or is not from this root; fetch it again from its source',
  },
  TCB_INFO_FORMAT: {
    meaning: 'The TCB info is malformed or of an unsupported version.',
    next: 'fetch the collateral again',
  },
  TCB_INFO_NOT_YET_VALID: {
    meaning: 'The TCB info is dated in the future.',
    next: 'check the clock of the verifier, then fetch the collateral again',
  },
  TCB_INFO_EXPIRED: {
    meaning: 'The TCB info is out of date.',
    next: 'fetch the collateral again',
  },
  TCB_INFO_MISMATCH: {
    meaning: 'The TCB info is about another kind of platform.',
    next: 'fetch the collateral for the FMSPC and PCE id that quote inspect shows',
  },
  QE_IDENTITY_SIGNATURE: {
    meaning: 'The signature of the QE identity is not good.',
    next: 'the collateral was edited or is not from this root; fetch it again from its source',
  },
  QE_IDENTITY_FORMAT: {
    meaning: 'The QE identity is malformed or of an unsupported version.',
    next: 'fetch the collateral again',
  },
  QE_IDENTITY_NOT_YET_VALID: {
    meaning: 'The QE identity is dated in the future.',
    next: 'check the clock of the verifier, then fetch the collateral again',
  },
  QE_IDENTITY_EXPIRED: {
    meaning: 'The QE identity is out of date.',
    next: 'fetch the collateral again',
  },
  QE_IDENTITY_ID: {
    meaning: 'The QE identity describes another enclave than the SGX quoting enclave.',
    next: 'fetch qe/identity of the SGX service',
  },
  QE_REPORT_SIGNATURE: {
    meaning: 'The report of the quoting enclave was not signed by the PCK key.',
    next: 'take a new quote; if it repeats, it was damaged or edited on its way',
  },
  QE_REPORT_BINDING: {
    meaning: 'The quoting enclave did not vouch for the attestation key of this quote.',
    next: 'take a new quote; if it repeats, it was damaged or edited on its way',
  },
  QE_MISCSELECT: {
    meaning: 'MISCSELECT of the quoting enclave differs from the QE identity.',
    next: 'the quoting enclave is not the expected one; update the platform software',
  },
  QE_ATTRIBUTES: {
    meaning:
      'The attributes of the quoting enclave differ from the QE identity, or it is a debug one.',
    next: 'the quoting enclave is not the expected one; update the platform software',
  },
  QE_MRSIGNER: {
    meaning: 'The quoting enclave has another author than the QE identity names.',
    next: 'the quoting enclave is not the expected one; update the platform software',
  },
  QE_ISVPRODID: {
    meaning: 'The quoting enclave is another product than the QE identity names.',
    next: 'the quoting enclave is not the expected one; update the platform software',
  },
  QE_ISVSVN_UNSUPPORTED: {
    meaning: 'The quoting enclave is older than every level of the QE identity.',
    next: 'the quoting enclave is not the expected one; update the platform software',
  },
  QUOTE_SIGNATURE: {
    meaning: 'The signature of the quote is not good.',
    next: 'take a new quote; if it repeats, it was damaged or edited on its way',
  },
  TDX_MODULE_MISMATCH: {
    meaning: 'The TDX module of the platform is not the one that the TCB info describes.',
    next: 'update the TDX module of the platform',
  },
  TCB_NOT_SUPPORTED: {
    meaning: 'The platform is older than every level of the TCB info.',
    next: 'update the platform firmware',
  },
  TCB_STATUS_UNKNOWN: {
    meaning: 'The collateral gives a TCB status that this version does not know.',
    next: 'update enclave-cc',
  },
  TCB_REVOKED: {
    meaning: 'The TCB level of the platform or of its quoting enclave is revoked.',
    next: 'update the platform firmware and software, then take a new quote',
  },
  DEBUG_NOT_ALLOWED: {
    meaning: 'The enclave is a debug one: the host can read its memory.',
    next: 'run a production bundle; only tests pass --allow-debug',
  },
  ENCLAVE_ATTRIBUTES: {
    meaning: 'The attributes of the enclave are not those of a running application enclave.',
    next: 'run the enclave without provisioning or launch rights',
  },
  REPORT_DATA_MISMATCH: {
    meaning: 'The enclave vouched for other report data than expected: another session or key.',
    next: 'attest again; if it repeats, evidence is being replayed',
  },
  CONFIG_ID_MISMATCH: {
    meaning: 'The enclave was launched with other init-data than expected.',
    next: 'launch it with the init-data that enclave-cc kbs init-data printed',
  },
  MEASUREMENT_MISMATCH: {
    meaning: 'MRENCLAVE, MRSIGNER, product or security version is not an allowed one.',
    next: 'compare with bundle measure; add the new values only if you built them',
  },
  TCB_POLICY: {
    meaning: 'The TCB status or its age is outside what the policy accepts.',
    next: 'update the platform; or accept the status after reading its advisories',
  },
  TCB_EVAL_NUM_TOO_OLD: {
    meaning: 'The collateral has a lower TCB evaluation number than the policy demands.',
    next: 'fetch newer collateral (update=early)',
  },
} as const

/** A code of `ATTEST_CODES`. */
export type AttestCode = keyof typeof ATTEST_CODES
