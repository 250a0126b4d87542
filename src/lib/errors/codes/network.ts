/** Codes of connections, HTTP and registries (`lib/http`, `lib/registry`, `platform/http`). */
export const NETWORK_CODES = {
  NETWORK_UNREACHABLE: {
    meaning: 'No connection to the server could be made.',
    next: 'check the name, the port and that the server runs',
    retryable: true,
  },
  NETWORK_TIMEOUT: {
    meaning: 'The server did not answer in time, or stopped in the middle of its answer.',
    next: 'try again; if it repeats, look at the load of the server',
    retryable: true,
  },
  NETWORK_BROKEN: {
    meaning: 'The connection ended before the answer was complete.',
    next: 'try again',
    retryable: true,
  },
  NETWORK_ADDRESS_REFUSED: {
    meaning: 'A server name leads to an address that may not be used, such as a private one.',
    next: 'allow private addresses for this registry in the registry configuration',
  },
  TLS_UNTRUSTED: {
    meaning: 'The certificate of the server is not trusted.',
    next: 'name the CA of the server (--cert-dir, --kbs-ca), or repair its certificate',
  },
  TLS_FAILED: {
    meaning: 'The server does not speak TLS, or no version of it that is safe.',
    next: 'check the port; for a registry without TLS pass --tls-verify=false',
  },
  TLS_PIN_MISMATCH: {
    meaning: 'The server does not hold the key that the configuration pins; nothing was sent.',
    next: 'compare the pin with the server key; make new init-data if the server changed its key',
  },
  REGISTRY_UNAUTHORIZED: {
    meaning: 'The registry wants credentials, or does not accept those it got.',
    next: 'log in with skopeo login or docker login, or pass --creds or --authfile',
  },
  REGISTRY_DENIED: {
    meaning: 'The registry does not allow this with the credentials it got.',
    next: 'ask the owner of the repository for the right to pull or push',
  },
  REGISTRY_NOT_FOUND: {
    meaning: 'The registry has no such repository, manifest or blob.',
    next: 'check the spelling of the image name and its tag',
  },
  REGISTRY_RATE_LIMITED: {
    meaning: 'The registry refuses further requests for a while.',
    next: 'wait, or log in to get a higher limit',
    retryable: true,
  },
  REGISTRY_UNAVAILABLE: {
    meaning: 'The registry answers with an error of its own.',
    next: 'try again later',
    retryable: true,
  },
  REGISTRY_REFUSED: {
    meaning: 'The registry refused the request.',
    next: 'read the reason that the registry gave',
  },
  REGISTRY_RESPONSE_INVALID: {
    meaning: 'The answer of the registry breaks the distribution protocol.',
    next: 'check that the address is that of a registry, not of a proxy or web page',
  },
  REGISTRY_REDIRECT_REFUSED: {
    meaning: 'The registry sends on to a place that is not safe, or in a circle.',
    next: 'use a registry that redirects to https only',
  },
  REGISTRY_REALM_REFUSED: {
    meaning: 'The registry names a token server to which credentials may not be sent.',
    next: 'allow the token server in the registry configuration if it is the right one',
  },
  REGISTRY_CREDENTIALS_INVALID: {
    meaning: 'A file with registry credentials is not understood.',
    next: 'write it with skopeo login or docker login',
  },
} as const

/** A code of `NETWORK_CODES`. */
export type NetworkCode = keyof typeof NETWORK_CODES
