import { fromUtf8, utf8 } from '#lib/bytes'
import { CodedError, isCoded } from '#lib/errors'
import type { HandoverPayload } from '#lib/handover'
import type { InitData } from '#lib/initdata'
import {
  constructLaunch,
  encodeLaunchConfig,
  type GrantedRequests,
  type HostRequest,
  type LaunchConfig,
} from '#lib/launch'
import {
  formatReference,
  type ImageConfig,
  isEncrypted,
  type Platform,
  type Reference,
} from '#lib/oci'
import { type ImageFacts, LAUNCH_DEFAULT } from '#lib/policy'
import { type AuthFile, parseAuthFile } from '#lib/registry'
import { spooledLayerFile } from '#lib/sealed'
import { type ImagePolicy, type ImagePolicyResult, parsePolicy } from '#lib/signing'
import type { PrepareResult } from '#protocol/agent'
import { AgentError } from '../agent-error.ts'
import type { Broker } from '../broker/broker.ts'
import type { ProgressLog } from '../progress.ts'
import { type DecisionFacts, decisionReport } from './decision-report.ts'
import { hostError } from './host-error.ts'
import { type ImageSource, openImage, type RegistryNetwork, readConfig } from './image-source.ts'
import {
  decideLaunch,
  type LaunchAnswer,
  type LaunchDecision,
  type LaunchSubject,
} from './launch-decision.ts'
import { LayerKeys } from './layer-keys.ts'
import type { SealedLayer, SealLayers, SourceLayer } from './layers.ts'
import { NO_REGISTRIES, parseRegistries, type Registries } from './registries.ts'
import { judgeSignatures } from './signatures.ts'

/** What the agent is asked to prepare. */
export interface PrepareInput {
  readonly containerId: string
  readonly podId: string
  readonly reference: Reference
  readonly request: HostRequest
}

/** What a preparation works with. */
export interface PrepareContext {
  readonly broker: Broker
  readonly initData: InitData
  /** 32 bytes. */
  readonly initDataDigest: Uint8Array
  readonly network: RegistryNetwork
  /** The enclave's time, milliseconds since 1970. */
  readonly now: () => number
  readonly progress: ProgressLog
  readonly sealLayers: SealLayers
  /** Of the TEE, for policies. */
  readonly teePlatform: 'simulated' | 'sgx'
  /** Of images. */
  readonly platform: Platform
  readonly signal: AbortSignal
}

/** A container that init may be given. The caller wipes the payload's keys. */
export interface Prepared {
  readonly payload: HandoverPayload
  readonly result: PrepareResult
}

interface Documents {
  readonly imagePolicy: ImagePolicy
  readonly launchPolicy: string
  readonly credentials: AuthFile | undefined
  readonly registries: Registries
}

/**
 * From a reference to sealed layers, in the order of own-protocols 2: attest, credentials and
 * policies, manifest by digest, signature, launch decision, keys, layers. Each decision goes into the
 * owner's log. What is thrown may be shown to the host.
 */
export async function prepare(context: PrepareContext, input: PrepareInput): Promise<Prepared> {
  const preparation = new Preparation(context, input)
  try {
    return await preparation.run()
  } catch (error) {
    context.signal.throwIfAborted()
    throw await preparation.refuse(error)
  }
}

class Preparation {
  readonly #context: PrepareContext
  readonly #input: PrepareInput
  readonly #decisionIds: string[] = []
  readonly #answers: LaunchAnswer[] = []
  #manifestDigest: string | undefined
  #signatures: ImagePolicyResult | undefined
  /** From here on, failures are facts of the image's content. */
  #content = false

  constructor(context: PrepareContext, input: PrepareInput) {
    this.#context = context
    this.#input = input
  }

  async run(): Promise<Prepared> {
    const { context, input } = { context: this.#context, input: this.#input }
    const { broker, progress, signal } = context
    progress.add({ step: 'attest' })
    const token = await broker.token({ signal })
    if (token.decisionId !== undefined) this.#decisionIds.push(token.decisionId)
    progress.add({ step: 'policy' })
    const documents = await this.#documents()
    progress.add({ step: 'manifest' })
    const source = await openImage({
      reference: input.reference,
      registries: documents.registries,
      credentials: documents.credentials,
      network: context.network,
      now: context.now,
      platform: context.platform,
      signal,
    })
    this.#manifestDigest = source.digest
    progress.add({ step: 'manifest', text: source.digest })
    progress.add({ step: 'signature' })
    const signatures = await this.#judge(source, documents.imagePolicy)
    progress.add({ step: 'launch' })
    const config = await readConfig(source, context.platform)
    const subject = this.#subject(source, signatures)
    const decision = this.#decide(source, config, documents.launchPolicy, subject)
    // Both are a round trip. Nothing is unpacked, let alone handed over, before the owner has been told.
    const told = this.#report(undefined)
    // Who waits for it hears of it; until then it is nobody's.
    told.catch(() => {})
    this.#content = true
    const layers = await this.#layers(source, config, documents.launchPolicy, subject, told)
    const launch = constructLaunch(config, input.request, decision.granted, {
      id: input.containerId,
      layers: layers.map(({ file }) => file),
    })
    progress.add({ step: 'ready' })
    return { payload: payloadOf(layers, launch), result: this.#result(source, launch, layers) }
  }

  /** Reports a refusal to the owner and returns what the host may see of it. */
  async refuse(error: unknown): Promise<unknown> {
    const { teePlatform } = this.#context
    const explain = this.#input.request.explain && teePlatform === 'simulated'
    const decisionId = await this.#report(error)
    return hostError(error, { content: this.#content, explain, decisionId })
  }

  async #documents(): Promise<Documents> {
    const { broker, initData, signal } = this.#context
    const names = initData.resources
    const [imagePolicy, launchPolicy, credentials, registries] = await Promise.all([
      broker.findResource(names.imagePolicy, { signal }),
      broker.findResource(names.launchPolicy, { signal }),
      broker.findResource(names.credentials, { signal }),
      broker.findResource(names.registries, { signal }),
    ])
    if (imagePolicy === undefined) {
      throw new AgentError(
        'IMAGE_POLICY_MISSING',
        `judging the image: namespace ${initData.broker.namespace} has no signature policy`,
      )
    }
    try {
      return {
        imagePolicy: parsePolicy(imagePolicy),
        // A broker of another make has no default of its own: the one measured into us is the same.
        launchPolicy:
          launchPolicy === undefined ? LAUNCH_DEFAULT : fromUtf8(launchPolicy, 'launch policy'),
        credentials: credentials === undefined ? undefined : parseAuthFile(credentials),
        registries: registries === undefined ? NO_REGISTRIES : parseRegistries(registries),
      }
    } finally {
      credentials?.fill(0)
    }
  }

  async #judge(source: ImageSource, policy: ImagePolicy): Promise<ImagePolicyResult> {
    const { broker, initData, signal } = this.#context
    const { namespace } = initData.broker
    const result = await judgeSignatures({ source, policy, broker, namespace, signal })
    this.#signatures = result
    if (result.accepted) return result
    throw signatureRefusal(source, result)
  }

  #subject(source: ImageSource, signatures: ImagePolicyResult): LaunchSubject {
    const { host, repository, tag } = source.reference
    const { layers } = source.manifest
    const encrypted = layers.filter(({ mediaType }) => isEncrypted(mediaType))
    const image: ImageFacts = {
      registry: host,
      repository,
      // A tag that no signature names is a mere word of the host, and so is one beside a digest.
      tag: signatures.tagSigned ? (tag ?? '') : '',
      digest: source.digest,
      signers: signatures.signers,
      signed: signatures.signers.length > 0,
      encrypted: encrypted.length > 0,
      fullyEncrypted: encrypted.length > 0 && encrypted.length === layers.length,
    }
    const { containerId } = this.#input
    return { image, platform: this.#context.teePlatform, containerId }
  }

  #decide(
    source: ImageSource,
    config: ImageConfig,
    policy: string,
    subject: LaunchSubject,
  ): LaunchDecision {
    const { request, containerId } = this.#input
    const decision = decideLaunch(policy, subject, request)
    this.#answers.push(...decision.answers)
    const [run] = decision.answers
    if (run !== undefined && !run.allowed) throw launchRefusal(run)
    // What no policy can grant is said before what this policy does not grant: its remedy is another.
    const files = source.manifest.layers.map((_layer, index) => spooledLayerFile(index))
    constructLaunch(config, request, everything(request), { id: containerId, layers: files })
    if (decision.refused !== undefined) throw launchRefusal(decision.refused)
    return decision
  }

  async #layers(
    source: ImageSource,
    config: ImageConfig,
    launchPolicy: string,
    subject: LaunchSubject,
    told: Promise<unknown>,
  ): Promise<readonly SealedLayer[]> {
    const { broker, initData, initDataDigest, progress, signal, sealLayers } = this.#context
    const { namespace } = initData.broker
    using keys = new LayerKeys({ broker, namespace, launchPolicy, subject, signal })
    const layers: SourceLayer[] = []
    if (subject.image.encrypted) progress.add({ step: 'keys' })
    try {
      for (const [index, descriptor] of source.manifest.layers.entries()) {
        const diffId = config.rootfs.diffIds[index] ?? ''
        const opened = isEncrypted(descriptor.mediaType) ? await keys.open(descriptor) : undefined
        layers.push({ descriptor, diffId, opened })
      }
      await told
      progress.add({ step: 'layer' })
      return await sealLayers(layers, {
        client: source.client,
        initDataDigest,
        signal,
        onProgress: (done, total) => progress.add({ step: 'layer', done, total }),
      })
    } finally {
      // A refusal is told after the permission that it follows.
      await Promise.allSettled([told])
      this.#answers.push(...keys.answers)
      for (const { opened } of layers) opened?.cipher.key.fill(0)
    }
  }

  #result(
    source: ImageSource,
    launch: LaunchConfig,
    layers: readonly SealedLayer[],
  ): PrepareResult {
    return {
      manifestDigest: source.digest,
      reference: formatReference(source.reference),
      decisionIds: [...this.#decisionIds],
      layers: layers.map(({ cached, file }, index) => ({
        digest: source.manifest.layers[index]?.digest ?? '',
        cached,
        file,
      })),
      stdio: launch.stdio,
      mounts: [
        { destination: '/', ...launch.scratch },
        ...launch.volumes.map((destination) => ({ destination, ...launch.scratch })),
      ],
    }
  }

  async #report(error: unknown): Promise<string | undefined> {
    const { containerId, podId, reference } = this.#input
    const facts: DecisionFacts = {
      containerId,
      podId,
      reference: formatReference(reference),
      manifestDigest: this.#manifestDigest,
      signatures: this.#signatures,
      answers: this.#answers,
    }
    const { broker, signal } = this.#context
    try {
      const id = await broker.reportDecision(decisionReport(facts, error), { signal })
      if (id !== undefined) this.#decisionIds.push(id)
      return id
    } catch (failure) {
      // A refusal stands whether or not the owner can be told; a permission that nobody hears of does not.
      if (error === undefined || !isCoded(failure)) throw failure
      return undefined
    }
  }
}

function payloadOf(layers: readonly SealedLayer[], launch: LaunchConfig): HandoverPayload {
  // Overlayfs ignores the opaque mark on the root of a layer: what it hides is left out instead.
  const shown = layers.slice(
    Math.max(
      0,
      layers.findLastIndex(({ opaqueRoot }) => opaqueRoot),
    ),
  )
  const files = shown.map(({ file }) => ({ file }))
  return {
    layers: shown.map(({ key, root, header, file }) => ({ key, root, header, file })),
    config: encodeLaunchConfig({ ...launch, layers: files }),
    scratch: utf8(JSON.stringify(launch.scratch)),
  }
}

function everything(request: HostRequest): GrantedRequests {
  const env = Object.keys(request.env)
  const all = { args: true, entrypoint: true, user: true, workdir: true, diskScratch: true }
  return { ...all, env, stdio: 'plain' }
}

function launchRefusal(answer: LaunchAnswer): CodedError {
  const { question, code = 'LAUNCH_REFUSED', next } = answer
  const what = question.action === 'run' ? 'running the image' : `the host's ${question.action}`
  const rules =
    answer.policyIds.length === 0 ? 'no rule permits it' : `by ${answer.policyIds.join(', ')}`
  return new CodedError(code, `${what}: the launch policy refuses: ${rules}`, {
    ...(next === undefined ? {} : { next }),
  })
}

function signatureRefusal(source: ImageSource, result: ImagePolicyResult): CodedError {
  const failed = result.requirements.find(({ ok }) => !ok)
  const { code = 'SIGNATURE_INVALID', expected, actual } = failed ?? {}
  const found = actual === undefined ? '' : `; found ${actual}`
  const wanted = expected === undefined ? '' : `; expected ${expected}`
  return new CodedError(
    code,
    `judging ${formatReference(source.reference)} by scope "${result.scope}": refused${wanted}${found}`,
    { details: { scope: result.scope, requirements: result.requirements } },
  )
}
