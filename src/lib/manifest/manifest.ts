import { toBase64, toHex, utf8 } from '#lib/bytes'
import {
  array,
  base64,
  boolean,
  canonicalize,
  hex,
  integer,
  type JsonValue,
  object,
  oneOf,
  optional,
  string,
  stringMap,
} from '#lib/json'

/** Enclave programs of a bundle. */
export type EnclaveProgram = 'agent' | 'init'

/** Which peers an enclave accepts in the handover: the agent knows init exactly, init knows the agent's signer. */
export interface Peers {
  /** In the agent's manifest. */
  readonly init?: { readonly mrEnclave: string }
  /** In init's manifest. */
  readonly agent?: {
    readonly mrSigner: string
    readonly isvProdId: number
    readonly minIsvSvn: number
  }
}

/** How an enclave proves itself in the handover; absent from a manifest it is by local reports. */
export interface QuoteHandover {
  readonly form: 'quote'
  /** Base64 of the one root certificate, DER, that the quotes of both sides must stand on. */
  readonly root: string
  /** Collateral from before this TCB recovery is refused. */
  readonly minTcbEvaluationDataNumber: number
}

/** Enclave manifest v1; see docs/formats/manifest.md. Digests are lower-case hex. */
export interface EnclaveManifest {
  readonly version: 1
  readonly program: EnclaveProgram
  readonly image: { readonly sha256: string; readonly size: number }
  readonly entry: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly attributes: { readonly debug: boolean }
  readonly isvProdId: number
  readonly isvSvn: number
  /** Unix seconds. */
  readonly builtAt: number
  readonly peers: Peers
  readonly handover?: QuoteHandover
}

const MEMBERS = [
  'version',
  'program',
  'image',
  'entry',
  'args',
  'env',
  'attributes',
  'isvProdId',
  'isvSvn',
  'builtAt',
  'peers',
  'handover',
]
const PATH = /^\/[\x21-\x7e]{1,255}$/
const VARIABLE = /^[A-Z_][A-Z0-9_]*$/

/** Checks a manifest value member by member. Throws FormatError on anything else, unknown members too. */
export function parseManifest(value: unknown): EnclaveManifest {
  const m = object(value, 'manifest', MEMBERS)
  const image = object(m.image, 'manifest.image', ['sha256', 'size'])
  const attributes = object(m.attributes, 'manifest.attributes', ['debug'])
  const env = stringMap(m.env, 'manifest.env', { maxItems: 64, max: 4096 })
  for (const name of Object.keys(env)) string(name, 'manifest.env name', { pattern: VARIABLE })
  const program = oneOf(m.program, 'manifest.program', ['agent', 'init'])
  const handover = optional(m.handover, parseHandover)
  return {
    version: integer(m.version, 'manifest.version', 1, 1) as 1,
    program,
    image: {
      sha256: toHex(hex(image.sha256, 'manifest.image.sha256', 32)),
      size: integer(image.size, 'manifest.image.size', 1),
    },
    entry: string(m.entry, 'manifest.entry', { pattern: PATH }),
    args: array(m.args, 'manifest.args', 64).map((arg) =>
      string(arg, 'manifest.args', { max: 4096 }),
    ),
    env: { ...env },
    attributes: { debug: boolean(attributes.debug, 'manifest.attributes.debug') },
    isvProdId: integer(m.isvProdId, 'manifest.isvProdId', 0, 0xffff),
    isvSvn: integer(m.isvSvn, 'manifest.isvSvn', 0, 0xffff),
    builtAt: integer(m.builtAt, 'manifest.builtAt'),
    peers: parsePeers(m.peers, program),
    ...(handover && { handover }),
  }
}

function parseHandover(value: unknown): QuoteHandover {
  const name = 'manifest.handover'
  const number = 'minTcbEvaluationDataNumber'
  const handover = object(value, name, ['form', 'root', number])
  return {
    // Local reports have no spelling of their own: one meaning, one measurement.
    form: oneOf(handover.form, `${name}.form`, ['quote']),
    root: toBase64(base64(handover.root, `${name}.root`)),
    [number]: integer(handover[number], `${name}.${number}`, 0, 0xffff_ffff),
  }
}

function parsePeers(value: unknown, program: EnclaveProgram): Peers {
  if (program === 'agent') {
    const init = object(object(value, 'manifest.peers', ['init']).init, 'manifest.peers.init', [
      'mrEnclave',
    ])
    return { init: { mrEnclave: toHex(hex(init.mrEnclave, 'manifest.peers.init.mrEnclave', 32)) } }
  }
  const agent = object(object(value, 'manifest.peers', ['agent']).agent, 'manifest.peers.agent', [
    'mrSigner',
    'isvProdId',
    'minIsvSvn',
  ])
  return {
    agent: {
      mrSigner: toHex(hex(agent.mrSigner, 'manifest.peers.agent.mrSigner', 32)),
      isvProdId: integer(agent.isvProdId, 'manifest.peers.agent.isvProdId', 0, 0xffff),
      minIsvSvn: integer(agent.minIsvSvn, 'manifest.peers.agent.minIsvSvn', 0, 0xffff),
    },
  }
}

/** The bytes that are measured and signed. */
export function manifestBytes(manifest: EnclaveManifest): Uint8Array<ArrayBuffer> {
  return utf8(canonicalize(manifest as unknown as JsonValue))
}
