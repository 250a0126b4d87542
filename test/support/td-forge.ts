// Quotes of TDX on the forged platform of sgx-forge.ts: another body, TCB info and QE identity.
import type { VerifyTdQuoteInput } from '#lib/attest'
import { concat, Writer } from '#lib/bytes'
import { type ForgeParts, forge, type Json, signRaw } from './sgx-forge.ts'

/** Fields of a TD report that tests change. */
export interface TdFields {
  teeTcbSvn: number[]
  mrSignerSeam: Uint8Array
  seamAttributes: Uint8Array
  tdAttributes: bigint
  /** Makes it a report of version 1.5. */
  teeTcbSvn2: number[] | undefined
}

/** How the quote is written. */
export interface TdFrame {
  version: 4 | 5
  /** Of version 5; default the right one. */
  bodyType: number | undefined
  bodySize: number | undefined
}

/** Forges a TDX quote that the verifier accepts, except for the edits. */
export function forgeTd(
  edit: (fields: TdFields, parts: ForgeParts, frame: TdFrame) => void = () => {},
): VerifyTdQuoteInput {
  const fields: TdFields = {
    teeTcbSvn: [5, 0, 6, ...new Array<number>(13).fill(0)],
    mrSignerSeam: new Uint8Array(48),
    seamAttributes: new Uint8Array(8),
    tdAttributes: 0x1000_0000n,
    teeTcbSvn2: undefined,
  }
  const frame: TdFrame = { version: 4, bodyType: undefined, bodySize: undefined }
  return forge((parts) => {
    toTdx(parts)
    edit(fields, parts, frame)
    const { finish } = parts
    parts.finish = (finished) => {
      finished.quote = reframe(finished.quote, fields, frame)
      finish(finished)
    }
  })
}

/** Makes TCB info and QE identity those of TDX: module 0 by `tdxModule`, 1 with levels of its own. */
function toTdx(parts: ForgeParts): void {
  const { tcbInfo } = parts
  tcbInfo.id = 'TDX'
  const module = {
    mrsigner: '00'.repeat(48),
    attributes: '00'.repeat(8),
    attributesMask: 'FF'.repeat(8),
  }
  tcbInfo.tdxModule = module
  tcbInfo.tdxModuleIdentities = [
    {
      id: 'TDX_01',
      ...module,
      tcbLevels: [
        { tcb: { isvsvn: 2 }, tcbDate: '2022-01-01T00:00:00Z', tcbStatus: 'OutOfDate' },
        { tcb: { isvsvn: 4 }, tcbDate: '2025-05-01T00:00:00Z', tcbStatus: 'UpToDate' },
      ],
    },
  ]
  const components = (svns: number[]): Json =>
    Array.from({ length: 16 }, (_, i) => ({ svn: svns[i] ?? 0 }))
  tcbInfo.tcbLevels[0].tcb.tdxtcbcomponents = components([5, 0, 6])
  tcbInfo.tcbLevels[1].tcb.tdxtcbcomponents = components([3, 0, 4])
  parts.qeIdentity.id = 'TD_QE'
}

/** Writes a version 3 quote over another body and signs it again. */
function reframe(v3: Uint8Array, fields: TdFields, frame: TdFrame): Uint8Array {
  const body = tdReport(fields)
  const [type, size] = [frame.bodyType ?? (fields.teeTcbSvn2 ? 3 : 2), frame.bodySize]
  const signed = concat(
    new Writer().u16le(frame.version).u16le(2).u32le(0x81).u32le(0).finish(),
    v3.subarray(12, 48),
    frame.version === 5
      ? new Writer()
          .u16le(type)
          .u32le(size ?? body.length)
          .finish()
      : new Uint8Array(),
    body,
  )
  const [key, qe] = [v3.subarray(500, 564), v3.subarray(564)]
  const data = new Writer()
    .bytes(signRaw('attestation', signed))
    .bytes(key)
    .u16le(6)
    .u32le(qe.length)
    .bytes(qe)
    .finish()
  return new Writer().bytes(signed).u32le(data.length).bytes(data).finish()
}

function tdReport(fields: TdFields): Uint8Array {
  const measurement = (fill: number): Uint8Array => new Uint8Array(48).fill(fill)
  const writer = new Writer()
    .bytes(new Uint8Array(fields.teeTcbSvn))
    .bytes(measurement(1))
    .bytes(fields.mrSignerSeam)
    .bytes(fields.seamAttributes)
    .u64le(fields.tdAttributes)
    .u64le(0xe7n)
  for (let i = 2; i < 10; i++) writer.bytes(measurement(i))
  writer.bytes(new Uint8Array(64).fill(0xda))
  if (fields.teeTcbSvn2) writer.bytes(new Uint8Array(fields.teeTcbSvn2)).bytes(measurement(0))
  return writer.finish()
}
