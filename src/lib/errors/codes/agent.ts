/** Codes of the agent enclave: what it refuses, and why (docs/agent.md). */
export const AGENT_CODES = {
  AGENT_STATE: {
    meaning: 'The agent enclave was asked for a step out of order.',
    next: 'run the container again; an agent is configured once, before anything else',
  },
  AGENT_IDENTITY: {
    meaning: 'Manifest or init-data handed to the agent are not those that it was launched with.',
    next: 'build and install the bundle again; check the init-data of the node',
  },
  AGENT_REQUEST_INVALID: {
    meaning: 'A request to the agent enclave is malformed.',
    next: 'correct the field that the message names',
  },
  BROKER_REFUSED: {
    meaning: 'The key broker refused, with a reason that has no code of ours.',
    next: "look the message up in the broker's log",
  },
  IMAGE_POLICY_MISSING: {
    meaning: 'The owner has set no signature policy, so no image is accepted.',
    next: 'enclave-cc kbs resource set kbs:///NAMESPACE/security-policy/default policy.json',
  },
  IMAGE_REJECTED: {
    meaning:
      'The content of the image is not what its owner encrypted or built. The cause is not shown to the host.',
    next: 'ask the owner to look the id up with enclave-cc kbs explain; on a simulated platform run again with --explain',
  },
  LAUNCH_REFUSED: {
    meaning: "No rule of the owner's launch policy permits this image.",
    next: 'permit action "run" for the image in the launch policy: enclave-cc kbs policy set launch FILE',
  },
  RESOURCE_REVEAL_REFUSED: {
    meaning: "The owner's launch policy does not let the agent show this resource to the host.",
    next: 'permit action "reveal" for the resource in the launch policy: enclave-cc kbs policy set launch FILE',
  },
  KEY_NAMESPACE_REFUSED: {
    meaning: 'A layer names a key of another namespace than that of the init-data.',
    next: 'encrypt the image with a key of its own namespace',
  },
  KEY_USE_REFUSED: {
    meaning:
      "The owner's launch policy does not let this image use a key that one of its layers names.",
    next: 'permit action "use-key" for image and key in the launch policy: enclave-cc kbs policy set launch FILE',
  },
  KEY_UNSIGNED_REFUSED: {
    meaning: 'The image is encrypted but passed no signature requirement, so no key is asked for.',
    next: 'sign the image, and require the signature in the signature policy',
  },
  SPOOL_FAILED: {
    meaning: 'The sealed layers cannot be written to the disk of the node.',
    next: 'check the directory given with --root and its filesystem',
  },
  REGISTRIES_INVALID: {
    meaning: "The owner's registry configuration is not understood.",
    next: 'correct kbs:///NAMESPACE/registry-configuration/default; docs/agent.md lists its members',
  },
  REGISTRY_BLOCKED: {
    meaning: "The owner's registry configuration blocks this registry.",
    next: 'use another registry, or change kbs:///NAMESPACE/registry-configuration/default',
  },
} as const

/** A code of `AGENT_CODES`. */
export type AgentCode = keyof typeof AGENT_CODES
