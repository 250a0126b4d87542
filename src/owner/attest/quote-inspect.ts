import {
  CERTIFICATION_PCK_CHAIN,
  FLAGS,
  type ParsedFrame,
  parseCertificationData,
  parsePckExtension,
  parseQuote,
  parseTdQuote,
  peekTeeType,
  type ReportBody,
  TD_ATTRIBUTES,
  type TdReport,
  TEE_TDX,
} from '#lib/attest'
import { FormatError, toHex } from '#lib/bytes'
import { type Outcome, printable } from '#lib/command'
import { isCoded } from '#lib/errors'
import { type Certificate, parseCertificate, splitPem } from '#lib/x509'
import { readQuoteFile } from './evidence-files.ts'

/** Runs `quote inspect`. Everything shown is what the sender claims. */
export async function inspectQuote(path: string): Promise<Outcome> {
  const { quote: bytes } = await readQuoteFile(path)
  const [quote, tee] =
    peekTeeType(bytes) === TEE_TDX
      ? ([parseTdQuote(bytes), 'tdx'] as const)
      : ([parseQuote(bytes), 'sgx'] as const)
  const certificates = readCertificates(quote)
  const document = {
    version: quote.version,
    tee,
    attestationKeyType: quote.attestationKeyType,
    qeSvn: quote.qeSvn,
    pceSvn: quote.pceSvn,
    qeVendorId: toHex(quote.qeVendorId),
    userData: toHex(quote.userData),
    report: 'body' in quote ? describeReport(quote.body) : describeTd(quote.report),
    qeReport: describeReport(quote.qeReport),
    qeAuthData: toHex(quote.qeAuthData),
    certificationData: {
      type: quote.certificationType,
      size: quote.certificationData.length,
      ...describePpid(quote),
      certificates: certificates.map(describeCertificate),
    },
    ...describePck(certificates),
  }
  return { document, text: describe(document) }
}

function describeReport(report: ReportBody): Record<string, unknown> {
  return {
    mrEnclave: toHex(report.mrEnclave),
    mrSigner: toHex(report.mrSigner),
    isvProdId: report.isvProdId,
    isvSvn: report.isvSvn,
    debug: (report.flags & FLAGS.DEBUG) !== 0n,
    flags: `0x${report.flags.toString(16)}`,
    flagNames: Object.entries(FLAGS)
      .filter(([, mask]) => (report.flags & mask) !== 0n)
      .map(([name]) => name),
    xfrm: `0x${report.xfrm.toString(16)}`,
    miscSelect: report.miscSelect,
    cpuSvn: toHex(report.cpuSvn),
    configId: toHex(report.configId),
    configSvn: report.configSvn,
    isvExtProdId: toHex(report.isvExtProdId),
    isvFamilyId: toHex(report.isvFamilyId),
    reportData: toHex(report.reportData),
  }
}

function describeTd(report: TdReport): Record<string, unknown> {
  return {
    version: report.version,
    debug: (report.tdAttributes & TD_ATTRIBUTES.DEBUG) !== 0n,
    tdAttributes: `0x${report.tdAttributes.toString(16)}`,
    xfam: `0x${report.xfam.toString(16)}`,
    teeTcbSvn: toHex(report.teeTcbSvn),
    mrSeam: toHex(report.mrSeam),
    mrSignerSeam: toHex(report.mrSignerSeam),
    seamAttributes: toHex(report.seamAttributes),
    mrTd: toHex(report.mrTd),
    mrConfigId: toHex(report.mrConfigId),
    mrOwner: toHex(report.mrOwner),
    mrOwnerConfig: toHex(report.mrOwnerConfig),
    rtmr: report.rtmr.map(toHex),
    reportData: toHex(report.reportData),
    ...(report.teeTcbSvn2 && { teeTcbSvn2: toHex(report.teeTcbSvn2) }),
    ...(report.mrServiceTd && { mrServiceTd: toHex(report.mrServiceTd) }),
  }
}

/** What certification data of types 1 to 3 says, for asking a service for the certificate. */
function describePpid(quote: ParsedFrame): Record<string, unknown> {
  try {
    const data = parseCertificationData(quote)
    if (data.kind !== 'ppid') return {}
    return {
      ppidEncryption: data.encryption,
      cpuSvn: toHex(data.cpuSvn),
      pceSvn: data.pceSvn,
      ...(data.pceId && { pceId: toHex(data.pceId) }),
    }
  } catch (error) {
    if (error instanceof FormatError) return {}
    throw error
  }
}

function readCertificates(quote: ParsedFrame): Certificate[] {
  if (quote.certificationType !== CERTIFICATION_PCK_CHAIN) return []
  const data = quote.certificationData
  try {
    return splitPem(data.at(-1) === 0 ? data.subarray(0, -1) : data, 'CERTIFICATE', 8).map(
      parseCertificate,
    )
  } catch (error) {
    // The quote can be shown all the same; verification names what is wrong with its chain.
    if (error instanceof FormatError) return []
    throw error
  }
}

function describeCertificate(certificate: Certificate): Record<string, unknown> {
  return {
    subject: certificate.subject.commonName ?? null,
    issuer: certificate.issuer.commonName ?? null,
    serial: certificate.serial,
    notBefore: time(certificate.notBefore),
    notAfter: time(certificate.notAfter),
  }
}

function describePck(certificates: readonly Certificate[]): Record<string, unknown> {
  for (const certificate of certificates) {
    try {
      const pck = parsePckExtension(certificate)
      return {
        fmspc: toHex(pck.fmspc),
        pceId: toHex(pck.pceId),
        ppid: toHex(pck.ppid),
        tcb: { components: pck.tcbComponents, pceSvn: pck.pceSvn },
        sgxType: pck.sgxType,
        ca: certificate.issuer.commonName ?? null,
        platformInstanceId: pck.platform ? toHex(pck.platform.instanceId) : null,
      }
    } catch (error) {
      if (!isCoded(error)) throw error
    }
  }
  return {}
}

function describe(document: Readonly<Record<string, unknown>>): string {
  const lines = ['unverified: run enclave-cc quote verify before relying on any of this']
  const show = (value: unknown, indent: string): void => {
    for (const [name, item] of Object.entries(value as object)) {
      if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
        lines.push(`${indent}${name}:`)
        show(item, `${indent}  `)
      } else if (Array.isArray(item) && typeof item[0] === 'object') {
        for (const element of item) {
          lines.push(`${indent}${name}:`)
          show(element, `${indent}  `)
        }
      } else {
        lines.push(`${indent}${name}: ${Array.isArray(item) ? item.join(' ') : item}`)
      }
    }
  }
  show(document, '')
  return lines.map(printable).join('\n')
}

function time(at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}
