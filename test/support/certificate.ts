import 'reflect-metadata'
import { createHash, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

/** A server certificate and what clients need to trust it. */
export interface TestCertificate {
  /** PEM. */
  readonly cert: string
  /** PEM, PKCS 8. */
  readonly key: string
  /** `sha256/<base64>` of the SPKI. */
  readonly pin: string
}

/** A self-signed certificate for `localhost` and 127.0.0.1, or for the names given. */
export async function issueCertificate(
  names: readonly string[] = ['localhost'],
  validTo: Date = new Date(Date.now() + 86_400_000),
): Promise<TestCertificate> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: 'CN=test server',
      notBefore: new Date(Date.now() - 2 * 86_400_000),
      notAfter: validTo,
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.SubjectAlternativeNameExtension([
          ...names.map((value) => ({ type: 'dns' as const, value })),
          ...(names.includes('localhost') ? [{ type: 'ip' as const, value: '127.0.0.1' }] : []),
        ]),
      ],
    },
    webcrypto as unknown as Parameters<typeof x509.X509CertificateGenerator.createSelfSigned>[1],
  )
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const spki = await webcrypto.subtle.exportKey('spki', keys.publicKey)
  const body = Buffer.from(pkcs8).toString('base64')
  return {
    cert: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`,
    pin: `sha256/${createHash('sha256').update(Buffer.from(spki)).digest('base64')}`,
  }
}
