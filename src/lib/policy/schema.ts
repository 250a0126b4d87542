// One schema for the three places where a policy decides. A policy is validated against the part
// of its own kind, so that a rule about an action of another kind is an error, not dead text.

const COMMON = `
// An attested program. \`program\` is the reference value's word for it: "agent", or "" if none matched.
entity Enclave = {
  mrEnclave: String,
  mrSigner: String,
  isvProdId: Long,
  isvSvn: Long,
  debug: Bool,
  program: String,
  reference: String,
};

// A resource of the broker: kbs:///NAMESPACE/TYPE/TAG.
entity Resource = { namespace: String, type: String, tag: String };
`

const APPRAISE = `
entity Broker;

action appraise appliesTo {
  principal: Enclave,
  resource: Broker,
  context: {
    platform: String,                 // "sgx", "simulated"
    tcbStatus: String,                // of platform and quoting enclave together, "UpToDate" …
    advisoryIds: Set<String>,
    tcbEvaluationDataNumber: Long,
    initData: {
      present: Bool,                  // sent, and its digest equals CONFIGID
      thisBroker: Bool,               // one pin is this broker's own key
      namespace: String,              // "" if none
    },
  },
};
`

const RELEASE = `
action read appliesTo {
  principal: Enclave,
  resource: Resource,
  context: {
    platform: String,
    tcbStatus: String,
    status: String,                   // ear.status of the token: "affirming" …
    namespace: String,                // of the enclave's init-data, "" if none
  },
};
`

const LAUNCH = `
// An image by digest. \`signers\` are the ids of the keys whose signature requirement it passed,
// \`tag\` is "" unless one of those signatures names it; \`encrypted\` is some layer, \`fullyEncrypted\` each.
entity Image = {
  registry: String,
  repository: String,
  tag: String,
  digest: String,
  signers: Set<String>,
  signed: Bool,
  encrypted: Bool,
  fullyEncrypted: Bool,
};
entity Host;
entity Container;

type Command = {
  platform: String,
  args: Set<String>,                  // each argument, without order
  line: String,                       // all of them in order, as a JSON array without white space
};

action run, "set-tty", "set-stdin", attach appliesTo {
  principal: Image, resource: Container, context: { platform: String },
};
action "use-key" appliesTo {
  principal: Image, resource: Resource, context: { platform: String, namespace: String },
};
action "set-args", "set-entrypoint" appliesTo {
  principal: Image, resource: Container, context: Command,
};
action "set-env" appliesTo {
  principal: Image, resource: Container, context: { platform: String, name: String, value: String },
};
action "set-user" appliesTo {
  principal: Image, resource: Container, context: { platform: String, user: String },
};
action "set-workdir" appliesTo {
  principal: Image, resource: Container, context: { platform: String, path: String },
};
// The host keeps the writable layer: "disk" (encrypted, but a loop device shows it to root of the node).
action "set-scratch" appliesTo {
  principal: Image, resource: Container,
  context: { platform: String, kind: String, size: Long },    // size in bytes
};
action mount appliesTo {
  principal: Image, resource: Container,
  context: { platform: String, source: String, destination: String, readOnly: Bool },
};
action exec appliesTo {
  principal: Image, resource: Container,
  context: { platform: String, args: Set<String>, line: String, user: String, tty: Bool },
};
// The host asks to be shown a resource (enclave-cc attest --resource).
action reveal appliesTo {
  principal: Host, resource: Resource, context: { platform: String, namespace: String },
};
`

/** The point where a policy decides. */
export type PolicyKind = 'appraise' | 'release' | 'launch'

/** The Cedar schema of each kind of policy. */
export const SCHEMAS: Readonly<Record<PolicyKind, string>> = {
  appraise: COMMON + APPRAISE,
  release: COMMON + RELEASE,
  launch: COMMON + LAUNCH,
}

/** All of it as one text, for documentation and editors. */
export const SCHEMA: string = COMMON + APPRAISE + RELEASE + LAUNCH
