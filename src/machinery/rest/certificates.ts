import 'reflect-metadata'
import { webcrypto, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

// The library's types name the browser's Web Crypto, which Node's own is; hence the casts to never below.
x509.cryptoProvider.set(webcrypto)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const day = 24 * 3600 * 1000
/** Life of what the authority issues, days. */
const lifeDays = 365
/** Certificates made while the clock was ahead must be valid once it is right. */
const beforeAnyClock = new Date('2020-01-01T00:00:00Z')
const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'

/** A certificate and its private key, both PEM. */
export type KeyPair = Readonly<{ cert: string; key: string }>

/** Makes a certificate authority of our own, valid for ten years. */
export async function createAuthority(commonName: string): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: [commonName] }],
    notBefore: beforeAnyClock,
    notAfter: new Date(Date.now() + 3650 * day),
    signingAlgorithm: algorithm,
    keys: keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: cert.toString('pem'), key: await pem(keys.privateKey) }
}

/** What a certificate is for: a server under its names and addresses, or a client whose CN and O say who it is. */
export type Subject =
  | Readonly<{ use: 'server'; names: readonly string[] }>
  | Readonly<{ use: 'client'; name: string; groups: readonly string[] }>

/** Issues a certificate, valid for a year unless it is to end at another time. */
export async function issue(
  authority: KeyPair,
  subject: Subject,
  notAfter = new Date(Date.now() + lifeDays * day),
): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const issuer = new x509.X509Certificate(authority.cert)
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    x509.PemConverter.decodeFirst(authority.key),
    algorithm,
    false,
    ['sign'],
  )
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject:
      subject.use === 'server'
        ? [{ CN: ['patchbay'] }]
        : [{ CN: [subject.name] }, ...subject.groups.map((group) => ({ O: [group] }))],
    issuer: issuer.subject,
    notBefore: beforeAnyClock,
    notAfter,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([subject.use === 'server' ? serverAuth : clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      ...(subject.use === 'server'
        ? [
            new x509.SubjectAlternativeNameExtension(
              subject.names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value })),
            ),
          ]
        : []),
    ],
  })
  return { cert: cert.toString('pem'), key: await pem(keys.privateKey) }
}

/** True when a certificate was issued by the authority and is valid at a moment. */
export function isValid(pair: KeyPair, authority: KeyPair, nowMs: number): boolean {
  const cert = new X509Certificate(pair.cert)
  return (
    Date.parse(cert.validFrom) <= nowMs &&
    nowMs <= Date.parse(cert.validTo) &&
    cert.verify(new X509Certificate(authority.cert).publicKey)
  )
}

/** True for a certificate that is not valid, or has less than a third of its life left. */
export function needsRenewal(pair: KeyPair, authority: KeyPair, nowMs: number): boolean {
  const endsMs = Date.parse(new X509Certificate(pair.cert).validTo)
  return !isValid(pair, authority, nowMs) || endsMs - nowMs < (lifeDays / 3) * day
}

function serial(): string {
  const [first = 0, ...others] = webcrypto.getRandomValues(new Uint8Array(16))
  // A serial number is positive.
  return Buffer.from([first & 0x7f, ...others]).toString('hex')
}

async function pem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}
