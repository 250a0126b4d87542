import { createHash } from 'node:crypto'
import { FLAGS, parseReport, type Tee } from '#lib/attest'
import { concat, equalBytes, fromHex, fromUtf8 } from '#lib/bytes'
import type { InitPin } from '#lib/handover'
import { type InitData, initDataDigest, parseInitData } from '#lib/initdata'
import { parseJson } from '#lib/json'
import { type EnclaveManifest, parseManifest } from '#lib/manifest'
import { AgentError } from './agent-error.ts'

/** What an agent is, once it has checked that it is that. */
export interface Configuration {
  readonly initData: InitData
  /** Text of the document's exact bytes, as it is sent to the broker. */
  readonly initDataText: string
  /** 32 bytes. */
  readonly initDataDigest: Uint8Array
  readonly manifest: EnclaveManifest
  /** The init that this agent serves. */
  readonly initPin: InitPin
}

const MAX_MANIFEST = 65_536

/**
 * Accepts manifest and init-data from the host only if this enclave was launched with exactly them:
 * their SHA-256 are MRENCLAVE and CONFIGID of its own report, with KSS, without which CONFIGID says
 * nothing (own-protocols 1 and 9). Throws AGENT_IDENTITY, INIT_DATA_INVALID.
 */
export async function checkConfiguration(
  tee: Pick<Tee, 'targetInfo' | 'report'>,
  given: { readonly manifest: Uint8Array; readonly initData: Uint8Array },
): Promise<Configuration> {
  const self = parseReport(await tee.report(await tee.targetInfo(), new Uint8Array(64)))
  if (!equalBytes(createHash('sha256').update(given.manifest).digest(), self.mrEnclave)) {
    throw mismatch('the manifest is not the one that was measured')
  }
  const digest = initDataDigest(given.initData)
  if ((self.flags & FLAGS.KSS) === 0n) throw mismatch('this enclave has no KSS')
  if (!equalBytes(concat(digest, new Uint8Array(32)), self.configId)) {
    throw mismatch('the init-data are not those of the launch')
  }
  const manifest = parseManifest(
    parseJson(given.manifest, { maxBytes: MAX_MANIFEST, name: 'manifest' }),
  )
  const { init } = manifest.peers
  if (manifest.program !== 'agent' || init === undefined) {
    throw mismatch('the manifest is that of another program')
  }
  return {
    initData: parseInitData(given.initData),
    initDataText: fromUtf8(given.initData, 'init-data'),
    initDataDigest: digest,
    manifest,
    initPin: {
      mrEnclave: fromHex(init.mrEnclave, 'manifest.peers.init.mrEnclave', 32),
      allowDebug: manifest.attributes.debug,
    },
  }
}

function mismatch(found: string): AgentError {
  return new AgentError('AGENT_IDENTITY', `configuring the agent: ${found}`)
}
