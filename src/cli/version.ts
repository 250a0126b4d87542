import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The document of `enclave-cc --version --json`. */
export interface VersionDocument {
  readonly version: string
  readonly commit: string
  readonly node: string
  readonly kbsProtocol: string
  readonly formats: {
    readonly sealedLayer: number
    readonly handover: number
    readonly manifest: number
  }
}

/** Reads what the build wrote beside the programs. */
export function versionDocument(): VersionDocument {
  const built = JSON.parse(readFileSync(join(__dirname, 'build.json'), 'utf8')) as {
    version: string
    commit: string
  }
  return {
    version: built.version,
    commit: built.commit,
    node: process.versions.node,
    kbsProtocol: '0.4.0',
    formats: { sealedLayer: 1, handover: 1, manifest: 1 },
  }
}
