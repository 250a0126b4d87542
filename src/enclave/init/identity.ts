import { createHash } from 'node:crypto'
import { parseReport, type Tee } from '#lib/attest'
import { concat, equalBytes, fromHex } from '#lib/bytes'
import type { AgentPin } from '#lib/handover'
import { parseJson } from '#lib/json'
import { type EnclaveManifest, parseManifest } from '#lib/manifest'
import { InitError } from './init-error.ts'

const MAX_MANIFEST = 65_536

/** What an init is, once it has checked that it is that. */
export interface OwnIdentity {
  readonly manifest: EnclaveManifest
  /** The agent that this init accepts. */
  readonly pin: AgentPin
}

/**
 * Accepts manifest and init-data from the host only if this enclave was launched with exactly them:
 * their SHA-256 are MRENCLAVE and CONFIGID of the own report (docs/formats/init-data.md,
 * docs/formats/manifest.md). Returns the manifest and whom it pins as agent. Throws InitError `INIT_IDENTITY`.
 */
export async function checkOwnIdentity(
  tee: Pick<Tee, 'targetInfo' | 'report'>,
  given: { readonly manifest: Uint8Array; readonly initData: Uint8Array },
): Promise<OwnIdentity> {
  const self = parseReport(await tee.report(await tee.targetInfo(), new Uint8Array(64)))
  if (!equalBytes(sha256(given.manifest), self.mrEnclave)) {
    throw mismatch('the manifest is not the one that was measured')
  }
  if (!equalBytes(concat(sha256(given.initData), new Uint8Array(32)), self.configId)) {
    throw mismatch('the init-data are not those of the launch')
  }
  const manifest = readManifest(given.manifest)
  const { agent } = manifest.peers
  if (manifest.program !== 'init' || agent === undefined) {
    throw mismatch('the manifest is that of another program')
  }
  const pin = {
    mrSigner: fromHex(agent.mrSigner, 'manifest.peers.agent.mrSigner', 32),
    isvProdId: agent.isvProdId,
    minIsvSvn: agent.minIsvSvn,
    allowDebug: manifest.attributes.debug,
  }
  return { manifest, pin }
}

function readManifest(bytes: Uint8Array): EnclaveManifest {
  return parseManifest(parseJson(bytes, { maxBytes: MAX_MANIFEST, name: 'manifest' }))
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}

function mismatch(found: string): InitError {
  return new InitError('INIT_IDENTITY', `configuring init: ${found}`)
}
