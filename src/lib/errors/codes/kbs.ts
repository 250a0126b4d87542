/** Codes of the key broker: its decisions, its protocol, its administration. */
export const KBS_CODES = {
  APPRAISE_EVIDENCE: {
    meaning: 'The evidence failed a check of form, signature, certificate or revocation.',
    next: 'see the claim named by kbs explain',
  },
  APPRAISE_COLLATERAL_EXPIRED: {
    meaning: 'The evidence is genuine as far as can be told, but its collateral has expired.',
    next: 'refresh the collateral on the node, or the directory of kbs serve --collateral',
  },
  APPRAISE_REVOKED: {
    meaning: 'A certificate of the platform, or of who vouches for it, has been revoked.',
    next: 'see which by kbs explain: for TCB_SIGNER_REVOKED refresh the collateral; for others do not use this platform, and ask its manufacturer',
  },
  APPRAISE_ROOT_UNTRUSTED: {
    meaning: 'The evidence comes from a platform whose root the broker does not trust.',
    next: 'if that platform is yours: platform export-root FILE, then kbs root add FILE --platform simulated|sgx',
  },
  APPRAISE_REPORT_DATA: {
    meaning: 'The evidence was made for another session or another key.',
    next: 'attest again; if it repeats, evidence is being replayed',
  },
  APPRAISE_COLLATERAL_ROLLBACK: {
    meaning: 'The collateral is older than what this broker has seen from the same issuer.',
    next: 'refresh the collateral on the node',
  },
  APPRAISE_TCB: {
    meaning: 'The platform is not up to date, or its level is revoked.',
    next: 'update firmware and platform software, or accept the status in the appraise policy',
  },
  APPRAISE_DEBUG: {
    meaning: 'The enclave is a debug one: the host can read its memory.',
    next: 'run a production bundle',
  },
  APPRAISE_MEASUREMENT: {
    meaning: 'The measurement of the enclave matches no reference value.',
    next: 'compare with bundle measure; register it with kbs reference set only if you built it',
  },
  APPRAISE_INIT_DATA: {
    meaning: 'The enclave was started without init-data, or with other init-data than it sent.',
    next: 'start it with the document that kbs init-data prints, unchanged',
  },
  APPRAISE_OTHER_BROKER: {
    meaning: 'The init-data of the enclave binds it to another broker.',
    next: 'make the init-data again with kbs init-data of this broker',
  },
  APPRAISE_POLICY: {
    meaning: 'The appraise policy refuses these claims.',
    next: 'see kbs explain for the deciding rule, and kbs policy get appraise',
  },
  RELEASE_NAMESPACE: {
    meaning: 'The resource belongs to another namespace than the enclave.',
    next: 'ask for a resource of the namespace in the init-data, or change the init-data',
  },
  RELEASE_MEASUREMENT: {
    meaning: 'The measurement in the token matches no reference value any more.',
    next: 'attest again; if it repeats, the reference value was removed on purpose',
  },
  RELEASE_ROOT: {
    meaning: 'The root of the platform that the token speaks of is not trusted any more.',
    next: 'if that platform is yours: kbs root add FILE --platform simulated|sgx, then attest again',
  },
  RELEASE_DENIED: {
    meaning: 'The release policy does not let this enclave read this resource.',
    next: 'see kbs explain for the deciding rule, and kbs policy get release',
  },
  RESOURCE_NOT_FOUND: {
    meaning: 'The broker has no resource of this name.',
    next: 'check the name with kbs resource list; set it with kbs resource set',
  },
  RESOURCE_EXISTS: {
    meaning: 'A resource that should be created exists already.',
    next: 'use the existing one, or set it without asking for creation',
  },
  RESOURCE_VERSION_NOT_FOUND: {
    meaning: 'The resource has no such version.',
    next: 'see kbs resource history',
  },
  RESOURCE_DAMAGED: {
    meaning: 'The stored value of a resource does not open with the storage key of the broker.',
    next: 'restore the database or keys/storage.key, or set the resource again',
  },
  REFERENCE_INVALID: {
    meaning: 'A reference value is incomplete or has a value out of range.',
    next: 'give --bundle DIR, or --mrenclave, or --mrsigner with --isv-prod-id and --min-isv-svn',
  },
  REFERENCE_NOT_FOUND: {
    meaning: 'There is no reference value of this name.',
    next: 'see kbs reference list',
  },
  ROOT_KINDS_MIXED: {
    meaning: 'One namespace would trust hardware and a simulation at once.',
    next: 'run a broker for each kind, or give each root its own namespace: kbs root add FILE --namespace NS',
  },
  ROOT_INVALID: {
    meaning: 'The root certificate cannot be trusted as the platform that was named.',
    next: "pass the file that platform export-root wrote with --platform simulated, or Intel's root with --platform sgx",
  },
  ROOT_NOT_FOUND: {
    meaning: 'There is no trusted root of this id.',
    next: 'see kbs root list',
  },
  DECISION_NOT_FOUND: {
    meaning: 'The broker has no decision of this id.',
    next: 'check the id, and that the same broker gave it',
  },
  AUDIT_BROKEN: {
    meaning: 'The audit log was changed or cut.',
    next: 'restore the broker from a backup and compare with a head that an owner kept',
  },
  KBS_PROTOCOL_VERSION: {
    meaning: 'The client speaks another version of the broker protocol.',
    next: 'use a client of protocol 0.4.0',
  },
  KBS_TEE_UNSUPPORTED: {
    meaning: 'The broker does not judge evidence of this kind.',
    next: 'use SGX evidence without further devices',
  },
  KBS_REQUEST_INVALID: {
    meaning: 'A request to the broker is malformed.',
    next: 'correct the request; the message names the field',
  },
  KBS_BODY_TOO_LARGE: {
    meaning: 'A request body is larger than the broker reads.',
    next: 'send less; the limit is 2 MiB',
  },
  KBS_SESSION_UNKNOWN: {
    meaning: 'The session does not exist, has expired, or its nonce was used.',
    next: 'start again with POST auth',
    retryable: true,
  },
  KBS_TOKEN_MISSING: {
    meaning: 'The request carries neither a token nor an attested session.',
    next: 'attest first',
    retryable: true,
  },
  KBS_TOKEN_INVALID: {
    meaning: 'The token was not made by this broker for itself, or has expired.',
    next: 'attest again',
    retryable: true,
  },
  KBS_PROOF_INVALID: {
    meaning: 'A report of a decision does not prove that the attested enclave made it.',
    next: 'nothing if nobody tampers: the agent proves its reports; a token alone cannot report',
  },
  KBS_ADMIN_DENIED: {
    meaning: 'The admin token is missing, unknown, expired or of a role without this right.',
    next: 'pass --admin-token-file with a token of this broker (kbs init wrote DATA-DIR/admin.token)',
  },
  KBS_ROUTE_UNKNOWN: {
    meaning: 'The broker has no such route.',
    next: 'check path and method; policies are set with enclave-cc kbs policy set',
  },
  KBS_BUSY: {
    meaning: 'The broker has too many requests under way.',
    next: 'try again in a moment',
    retryable: true,
  },
  KBS_RATE_LIMITED: {
    meaning: 'Enclaves of this machine have caused all the records that one machine may cause.',
    next: 'wait; if no fleet of containers is started here, find out who asks so often',
    retryable: true,
  },
  KBS_PORT_TAKEN: {
    meaning: 'The address that the broker should listen on is in use or not of this machine.',
    next: 'stop the other program, or choose another --listen',
  },
  KBS_RUNNING: {
    meaning: 'Another broker process uses the same data directory.',
    next: 'stop it first; one broker serves one data directory',
  },
  KBS_COLLATERAL_UNREADABLE: {
    meaning: 'The directory of collateral cannot be read.',
    next: 'check --collateral; enclave-cc collateral fetch or import makes one',
  },
  KBS_NOT_INITIALISED: {
    meaning: 'The data directory holds no broker.',
    next: 'run kbs init --data-dir DIR first',
  },
  KBS_INITIALISED: {
    meaning: 'The data directory holds a broker already.',
    next: 'use it, or choose another --data-dir',
  },
  KBS_UNREACHABLE: {
    meaning: 'The broker cannot be reached.',
    next: 'check --kbs-url and that kbs serve runs there',
    retryable: true,
  },
  KBS_TLS_UNTRUSTED: {
    meaning: 'The certificate of the broker is not vouched for by the given CA.',
    next: 'pass --kbs-ca with the tls/ca.pem of that broker',
  },
  KBS_ANSWER_INVALID: {
    meaning: "What answers at the broker's address does not speak this protocol.",
    next: 'check --kbs-url',
  },
} as const

/** A code of `KBS_CODES`. */
export type KbsCode = keyof typeof KBS_CODES
