import {
  array,
  boolean,
  integer,
  object,
  oneOf,
  optional,
  parseJson,
  string,
  strings,
} from '#lib/json'
import type { PreparedLayer, WaitReply } from '#protocol/agent'

// What enclaves answer, read by their host. An enclave may be anything: an edited bundle is refused by
// the broker, not by this node. So nothing of it enters a record, a log or a terminal unchecked.

/** What the host keeps of Prepare's answer. */
export interface Prepared {
  readonly manifestDigest: string
  readonly decisionIds: readonly string[]
  readonly layers: readonly PreparedLayer[]
  readonly mounts: readonly ContainerMount[]
}

/** A place that a container can write to. */
export interface ContainerMount {
  readonly destination: string
  /** `disk`: encrypted, behind a loop device; `tmpfs`: memory. */
  readonly kind: 'disk' | 'tmpfs'
  /** Bytes, at most. */
  readonly size: number
}

/** A step of the agent's work. */
export interface Step {
  readonly step: string
  readonly text?: string
  readonly done?: number
  readonly total?: number
}

/** How a container ended. */
export interface ContainerEnd {
  /** 0 to 255. */
  readonly exitCode: number
  /** Where an enclave ended it: why. */
  readonly code?: string
  readonly message?: string
  /** What was damaged, as init says; see `damagedFiles`. */
  readonly damaged?: string
}

const DIGEST = /^sha256:[0-9a-f]{64}$/
const FILE = /^[a-z0-9][a-z0-9-]*\.sealed$/
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/
const MAX_LAYERS = 127
/** The root filesystem and as many volumes as a launch has. */
const MAX_MOUNTS = 65
const PLACE = { max: 4096, pattern: /^\/\P{Cc}*$/u }
/** A record with all of them has to stay below its limit. */
const MAX_PLACE = 512
const MAX_TEXT = 500
const MAX_EVENTS = 4096

/** Parses Prepare's JSON. Throws FormatError. */
export function parsePrepared(json: Uint8Array): Prepared {
  const answer = object(parseJson(json, { name: 'Prepare' }), 'Prepare')
  return {
    manifestDigest: string(answer.manifestDigest, 'Prepare.manifestDigest', { pattern: DIGEST }),
    decisionIds: strings(answer.decisionIds, 'Prepare.decisionIds', { maxItems: 64, max: 128 }),
    layers: array(answer.layers, 'Prepare.layers', MAX_LAYERS).map((value) => {
      const layer = object(value, 'Prepare.layers')
      return {
        digest: string(layer.digest, 'Prepare.layers.digest', { max: 256 }),
        cached: boolean(layer.cached, 'Prepare.layers.cached'),
        file: string(layer.file, 'Prepare.layers.file', { max: 64, pattern: FILE }),
      }
    }),
    mounts: array(answer.mounts, 'Prepare.mounts', MAX_MOUNTS).map((value) =>
      containerMount(value, 'Prepare.mounts'),
    ),
  }
}

/** Parses one member of `mounts`. Throws FormatError. */
export function containerMount(value: unknown, name: string): ContainerMount {
  const mount = object(value, name)
  return {
    destination: string(mount.destination, `${name}.destination`, PLACE).slice(0, MAX_PLACE),
    kind: oneOf(mount.kind, `${name}.kind`, ['disk', 'tmpfs']),
    size: integer(mount.size, `${name}.size`),
  }
}

/** Parses the answer of Events: the steps, and the number to ask on from. Throws FormatError. */
export function parseSteps(
  json: Uint8Array,
  after: bigint,
): { readonly steps: readonly Step[]; readonly last: bigint } {
  let last = after
  const steps = array(parseJson(json, { name: 'Events' }), 'Events', MAX_EVENTS).map((value) => {
    const event = object(value, 'event')
    const seq = BigInt(integer(event.seq, 'event.seq'))
    if (seq > last) last = seq
    const text = optional(event.text, (t) => string(t, 'event.text').slice(0, MAX_TEXT))
    const done = optional(event.done, (n) => integer(n, 'event.done'))
    const total = optional(event.total, (n) => integer(n, 'event.total'))
    return {
      step: string(event.step, 'event.step', { max: 64 }),
      ...(text === undefined ? {} : { text }),
      ...(done === undefined ? {} : { done }),
      ...(total === undefined ? {} : { total }),
    }
  })
  return { steps, last }
}

/** The end that init reports; what is not an exit code is 125. */
export function endOf(reply: WaitReply): ContainerEnd {
  const { exitCode, code, message, damaged } = reply
  const valid = Number.isInteger(exitCode) && exitCode >= 0 && exitCode <= 255
  if (code === '') return { exitCode: valid ? exitCode : 125 }
  return {
    exitCode: valid ? exitCode : 125,
    code: CODE.test(code) ? code : 'INTERNAL',
    message: message.slice(0, MAX_TEXT),
    damaged,
  }
}
