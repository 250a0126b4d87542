import { randomBytes } from 'node:crypto'

/** What the manufacturer would have fused or provisioned into one machine; none of it is secret. */
export interface PlatformFacts {
  /** 16 bytes, random for each platform. */
  readonly ppid: Uint8Array
  /** 16 bytes. */
  readonly platformInstanceId: Uint8Array
  /** 16 bytes that quotes carry: tells platforms apart. */
  readonly qeId: Uint8Array
  /** SVN of the 16 TCB components, one byte each; reports carry them as CPUSVN too. */
  readonly components: Uint8Array
  readonly pceSvn: number
}

/** `SIM` and three zeros: a family that Intel does not have. */
export const FMSPC: Uint8Array = Uint8Array.of(0x53, 0x49, 0x4d, 0, 0, 0)

export const PCE_ID: Uint8Array = Uint8Array.of(0, 0)

/** Patch levels like those of a real server, so that the last ones are zero. */
const COMPONENTS = Uint8Array.of(11, 11, 3, 3, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)

/** Facts of a new platform. */
export function newPlatformFacts(): PlatformFacts {
  return {
    ppid: new Uint8Array(randomBytes(16)),
    platformInstanceId: new Uint8Array(randomBytes(16)),
    qeId: new Uint8Array(randomBytes(16)),
    components: Uint8Array.from(COMPONENTS),
    pceSvn: 13,
  }
}
