import { equalBytes, FormatError, toHex } from '#lib/bytes'
import { verifyRawSignature } from '#lib/x509'
import { AttestError, badSignature, malformed } from '../attest-error.ts'
import type { VerifiedChain } from './chain.ts'
import { Memo } from './memo.ts'
import type { PckExtension } from './pck-extension.ts'
import { parseQeIdentity, type QeIdentity } from './qe-identity.ts'
import { cutSignedDocument } from './signed-document.ts'
import { parseTcbInfo, type TcbInfo } from './tcb-info.ts'

type Kind = 'TCB_INFO' | 'QE_IDENTITY'

const tcbInfos = /* @__PURE__ */ new Memo<TcbInfo>(32)
const qeIdentities = /* @__PURE__ */ new Memo<QeIdentity>(32)

/** Verifies a TCB info body with the signer's key, then parses what was signed. Dates follow. */
export function verifyTcbInfo(body: Uint8Array, signer: VerifiedChain): TcbInfo {
  return tcbInfos.get([body, signer.leaf.raw], () =>
    verifyDocument(body, 'tcbInfo', signer, parseTcbInfo, 'TCB_INFO'),
  )
}

/** Verifies a QE identity body with the signer's key, then parses what was signed. Dates follow. */
export function verifyQeIdentity(body: Uint8Array, signer: VerifiedChain): QeIdentity {
  return qeIdentities.get([body, signer.leaf.raw], () =>
    verifyDocument(body, 'enclaveIdentity', signer, parseQeIdentity, 'QE_IDENTITY'),
  )
}

/** Checks issueDate <= now <= nextUpdate + grace. */
export function requireDocumentDates(
  document: { readonly issueDate: number; readonly nextUpdate: number },
  now: number,
  kind: Kind,
  grace: number = 0,
): void {
  const refused = (code: AttestError['code'], expected: string): AttestError => {
    const name = showKind(kind)
    const actual = new Date(now).toISOString()
    return new AttestError(code, `checking the ${name}: it is ${actual} now`, {
      field: `${name} validity`,
      expected,
      actual,
    })
  }
  if (now < document.issueDate) {
    const issued = new Date(document.issueDate).toISOString()
    throw refused(`${kind}_NOT_YET_VALID`, `after ${issued}`)
  }
  if (now > document.nextUpdate + grace) {
    throw refused(`${kind}_EXPIRED`, `until ${new Date(document.nextUpdate).toISOString()}`)
  }
}

/** Refuses TCB info of another technology or another kind of platform than the PCK certificate's. */
export function requireSamePlatform(
  tcbInfo: TcbInfo,
  pck: PckExtension,
  id: 'SGX' | 'TDX' = 'SGX',
): void {
  const refused = (field: string, expected: string, actual: string): AttestError =>
    new AttestError('TCB_INFO_MISMATCH', `comparing the TCB info: its ${field} is ${actual}`, {
      field: `TCB info ${field}`,
      expected,
      actual,
    })
  if (tcbInfo.id !== id) throw refused('id', id, tcbInfo.id)
  if (!equalBytes(tcbInfo.fmspc, pck.fmspc)) {
    throw refused('fmspc', toHex(pck.fmspc), toHex(tcbInfo.fmspc))
  }
  if (!equalBytes(tcbInfo.pceId, pck.pceId)) {
    throw refused('pceId', toHex(pck.pceId), toHex(tcbInfo.pceId))
  }
}

/** Refuses the identity of another enclave than the quoting enclave: `QE` of SGX, `TD_QE` of TDX. */
export function requireQuotingEnclave(identity: QeIdentity, id: 'QE' | 'TD_QE' = 'QE'): void {
  if (identity.id === id) return
  throw new AttestError('QE_IDENTITY_ID', `comparing the QE identity: its id is ${identity.id}`, {
    field: 'QE identity id',
    expected: id,
    actual: identity.id,
  })
}

function verifyDocument<T>(
  body: Uint8Array,
  member: string,
  signer: VerifiedChain,
  parse: (signed: Uint8Array) => T,
  kind: Kind,
): T {
  const name = showKind(kind)
  try {
    const { signed, signature } = cutSignedDocument(body, member)
    if (!verifyRawSignature(signer.leafKey, signed, signature)) {
      throw badSignature(`${kind}_SIGNATURE`, `verifying the ${name}: its signature is bad`, {
        field: `${name} signature`,
        signer: signer.leaf.subject.commonName ?? 'its signer',
      })
    }
    return parse(signed)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw malformed(`${kind}_FORMAT`, `parsing the ${name}`, cause, {
      expected: `a signed ${name} of a known version, no member twice`,
    })
  }
}

function showKind(kind: Kind): string {
  return kind === 'TCB_INFO' ? 'TCB info' : 'QE identity'
}
