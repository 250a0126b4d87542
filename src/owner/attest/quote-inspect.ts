import {
  CERTIFICATION_PCK_CHAIN,
  FLAGS,
  type ParsedQuote,
  parsePckExtension,
  parseQuote,
  type ReportBody,
} from '#lib/attest'
import { FormatError, toHex } from '#lib/bytes'
import type { Outcome } from '#lib/command'
import { isCoded } from '#lib/errors'
import { type Certificate, parseCertificate, splitPem } from '#lib/x509'
import { readQuoteFile } from './evidence-files.ts'

/** Runs `quote inspect`. Everything shown is what the sender claims. */
export async function inspectQuote(path: string): Promise<Outcome> {
  const { quote: bytes } = await readQuoteFile(path)
  const quote = parseQuote(bytes)
  const certificates = readCertificates(quote)
  const document = {
    version: quote.version,
    tee: 'sgx',
    attestationKeyType: quote.attestationKeyType,
    qeSvn: quote.qeSvn,
    pceSvn: quote.pceSvn,
    qeVendorId: toHex(quote.qeVendorId),
    userData: toHex(quote.userData),
    report: describeReport(quote.body),
    qeReport: describeReport(quote.qeReport),
    qeAuthData: toHex(quote.qeAuthData),
    certificationData: {
      type: quote.certificationType,
      size: quote.certificationData.length,
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

function readCertificates(quote: ParsedQuote): Certificate[] {
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
  return lines.join('\n')
}

function time(at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}
