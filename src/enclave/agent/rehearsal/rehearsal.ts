import { utf8 } from '#lib/bytes'
import { wipePayload } from '#lib/handover'
import { parseHostRequest } from '#lib/launch'
import type { Platform } from '#lib/oci'
import { rehearseHandover } from '../../handover/rehearsal.ts'
import type { Broker } from '../broker/broker.ts'
import { createSessionKey } from '../broker/session-key.ts'
import { prepare } from '../image/prepare.ts'
import { ProgressLog } from '../progress.ts'
import { openNothing } from './answers.ts'
import { rehearseConnection } from './connection.ts'
import { rehearsalImage } from './image.ts'

const ID = 'rehearsal'
const MONTH = 30 * 86_400_000

/**
 * Runs once what the first container would be the first to run, so that it finds the code compiled: from
 * policies to handover, with the functions that a container gets, for an image that is nowhere. No file
 * and no connection is opened, no evidence is made, nobody is asked or told anything. Throws what is a defect,
 * and the reason of `signal` between its parts.
 */
export async function rehearse(platform: Platform, signal: AbortSignal): Promise<void> {
  const { reference, registry, policy } = rehearsalImage(platform.architecture)
  const { payload } = await prepare(
    {
      broker: brokerOf(policy),
      initData: {
        broker: { url: `https://${reference.host}`, pins: [], namespace: ID },
        resources: {
          imagePolicy: { namespace: ID, type: 'security-policy', tag: ID },
          launchPolicy: { namespace: ID, type: 'launch-policy', tag: ID },
          credentials: { namespace: ID, type: 'credential', tag: ID },
          registries: { namespace: ID, type: 'registry-configuration', tag: ID },
        },
      },
      initDataDigest: new Uint8Array(32),
      network: {
        transport: () => registry,
        clock: { sleep: async () => {}, random: () => 0, now: () => MONTH },
      },
      now: () => MONTH,
      progress: new ProgressLog(),
      sealLayers: async (layers) =>
        layers.map((_layer, index) => ({
          key: new Uint8Array(32),
          root: new Uint8Array(32),
          header: new Uint8Array(64),
          file: `layer-${index}.sealed`,
          opaqueRoot: false,
          cached: true,
        })),
      teePlatform: 'simulated',
      platform,
      signal,
    },
    {
      containerId: ID,
      podId: ID,
      reference,
      request: parseHostRequest(utf8(JSON.stringify({ network: 'host' }))),
    },
  )
  try {
    signal.throwIfAborted()
    await rehearseHandover(payload)
  } finally {
    wipePayload(payload)
  }
  signal.throwIfAborted()
  await rehearseConnection()
  signal.throwIfAborted()
  await openNothing(createSessionKey())
}

/** An owner in memory, who has a signature policy and nothing else, and listens to nobody. */
function brokerOf(policy: Uint8Array): Broker {
  const never = async (): Promise<never> => {
    throw new TypeError('the rehearsal needs no secret')
  }
  return {
    token: async () => ({ jwt: '', claims: {}, issuedAt: 0, expiresAt: 0, decisionId: undefined }),
    resource: never,
    findResource: async ({ type }) => (type === 'security-policy' ? policy : undefined),
    reportDecision: async () => undefined,
  }
}
