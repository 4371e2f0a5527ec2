import type { Answer, Exchange } from '#machinery/http/exchange.ts'

/** The certificates that clients are given without signing in. PEM; read again for every request, since they are renewed. */
export type PkiFiles = Readonly<{ authority: () => string; server: () => string }>

const path = '/ovirt-engine/services/pki-resource'
const authority = ['ca-certificate', 'qemu-ca-certificate']

/** The answer to a request for a certificate; undefined for other requests. libgovirt asks at the root (facts/ovirt-clients.md §2). */
export function pkiAnswer(files: PkiFiles, exchange: Exchange): Answer | undefined {
  if (exchange.path === '/ca.crt') return certificate(files.authority(), true)
  if (exchange.path !== path) return undefined
  const query = new URLSearchParams(exchange.search)
  const resource = query.get('resource') ?? ''
  const format = query.get('format') ?? 'X509-PEM'
  const pem = authority.includes(resource)
    ? files.authority()
    : resource === 'engine-certificate'
      ? files.server()
      : undefined
  if (pem === undefined || (format !== 'X509-PEM' && format !== 'X509-PEM-CA'))
    return { code: 400, type: 'text/plain', body: 'Unknown resource or format\n' }
  return certificate(pem, format === 'X509-PEM-CA')
}

function certificate(pem: string, isAuthority: boolean): Answer {
  return { code: 200, type: isAuthority ? 'application/x-x509-ca-cert' : 'application/x-x509-cert', body: pem }
}
