import { fromUtf8, utf8 } from '#lib/bytes'
import { formatResourceUri, parseResourceUri, type ResourceName } from '#lib/initdata'
import type { Descriptor } from '#lib/oci'
import {
  jweUnwrapper,
  type OpenedLayer,
  openLayer,
  packetUnwrapper,
  parseDecryptionKey,
  type Unwrapper,
} from '#lib/ocicrypt'
import { AgentError } from '../agent-error.ts'
import type { Broker } from '../broker/broker.ts'
import { ask, type LaunchAnswer, type LaunchSubject } from './launch-decision.ts'

/** Options of `LayerKeys`. */
export interface LayerKeysOptions {
  readonly broker: Broker
  /** Of the init-data. */
  readonly namespace: string
  readonly launchPolicy: string
  readonly subject: LaunchSubject
  readonly signal?: AbortSignal
}

/** Resource with the private keys for JWE-wrapped layers, as skopeo makes them: one or more PEM blocks. */
const DECRYPTION_KEY = { type: 'decryption-key', tag: 'default' } as const

/**
 * Gets the keys of an image's layers from the broker. A key is asked for only if the image passed a
 * signature requirement, the key lies in the namespace of the init-data, and the launch policy lets
 * this image use it (own-protocols 2). Dispose of it to wipe the key-encryption keys.
 */
export class LayerKeys implements Disposable {
  readonly #options: LayerKeysOptions
  readonly #fetched = new Map<string, Promise<Uint8Array>>()
  readonly #answers = new Map<string, LaunchAnswer>()
  readonly #unwrappers: readonly Unwrapper[]

  constructor(options: LayerKeysOptions) {
    this.#options = options
    this.#unwrappers = [
      packetUnwrapper((kid) => this.#fetch(parseResourceUri(kid))),
      { scheme: 'jwe', unwrap: (wrapped, o) => this.#unwrapJwe(wrapped, o) },
    ]
  }

  /** Decisions taken, for the report to the owner. */
  get answers(): readonly LaunchAnswer[] {
    return [...this.#answers.values()]
  }

  /** The cipher of an encrypted layer. The caller wipes it. Throws KEY_…_REFUSED, LAYER_…, BrokerError. */
  async open(layer: Descriptor): Promise<OpenedLayer> {
    const { subject, signal } = this.#options
    if (!subject.image.signed) {
      throw new AgentError(
        'KEY_UNSIGNED_REFUSED',
        'getting the key of a layer: no signature requirement was passed',
      )
    }
    return await openLayer(
      layer.annotations ?? {},
      this.#unwrappers,
      signal === undefined ? {} : { signal },
    )
  }

  [Symbol.dispose](): void {
    for (const key of this.#fetched.values()) {
      key.then(
        (bytes) => bytes.fill(0),
        () => undefined,
      )
    }
    this.#fetched.clear()
  }

  async #unwrapJwe(
    wrapped: Uint8Array,
    options: Parameters<Unwrapper['unwrap']>[1],
  ): Promise<Uint8Array> {
    const file = await this.#fetch({ namespace: this.#options.namespace, ...DECRYPTION_KEY })
    const keys = pemBlocks(file).map((block) => parseDecryptionKey(block))
    return await jweUnwrapper(keys).unwrap(wrapped, options)
  }

  async #fetch(name: ResourceName): Promise<Uint8Array> {
    const uri = formatResourceUri(name)
    const known = this.#fetched.get(uri)
    if (known !== undefined) return await known
    this.#permit(name, uri)
    const { broker, signal } = this.#options
    const key = broker.resource(name, signal === undefined ? {} : { signal })
    this.#fetched.set(uri, key)
    return await key
  }

  #permit(name: ResourceName, uri: string): void {
    const { namespace, launchPolicy, subject } = this.#options
    // Owner A signs an image whose annotation names a key of owner B: the confused deputy.
    if (name.namespace !== namespace) {
      throw new AgentError(
        'KEY_NAMESPACE_REFUSED',
        `using the key ${uri}: this enclave belongs to namespace ${namespace}`,
      )
    }
    const answer = ask(launchPolicy, { ...subject, action: 'use-key', resource: name, namespace })
    this.#answers.set(uri, answer)
    if (answer.allowed) return
    throw new AgentError(
      'KEY_USE_REFUSED',
      `using the key ${uri}: the launch policy does not permit it`,
      {
        ...(answer.next === undefined ? {} : { next: answer.next }),
      },
    )
  }
}

function pemBlocks(file: Uint8Array): Uint8Array[] {
  const blocks = textOf(file)?.match(/-----BEGIN [A-Z0-9 ]+-----[^-]*-----END [A-Z0-9 ]+-----/g)
  return blocks?.map((block) => utf8(block)) ?? [file]
}

function textOf(file: Uint8Array): string | undefined {
  try {
    return fromUtf8(file, 'key')
  } catch {
    // DER: one key.
    return undefined
  }
}
