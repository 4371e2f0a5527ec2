import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { cut } from '#apis/meta/labels.ts'
import { dnsLabel, dnsSubdomain, nameProblems } from '#apis/meta/names.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { isIpv4 } from '../nic/cidr.ts'
import { maxOptionBytes, searchBytes } from '../sandbox/dhcp.ts'

const policies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None', '']

/** Kubernetes' limits. */
const maxNameservers = 3
const maxSearches = 32
const maxSearchCharacters = 2048

/** Room that a subdomain needs in the search list beside itself: the longest namespace, and the cluster's domain. */
const clusterPart = `.${'n'.repeat(63)}.svc.cluster.local`

/** All errors in the host name and the DNS configuration of a guest, in KubeVirt's words. */
export function dnsErrors(spec: VmiSpec, path: string): FieldError[] {
  const { hostname = '', subdomain = '', dnsPolicy = '' } = spec
  const errors: FieldError[] = []
  const named = [
    ['hostname', hostname, dnsLabel, 'DNS_LABEL'],
    ['subdomain', subdomain, dnsSubdomain, 'DNS_SUBDOMAIN'],
  ] as const
  for (const [field, name, kind, rules] of named) {
    const at = `${path}.${field}`
    const problems = name ? nameProblems(name, kind) : []
    if (problems.length)
      errors.push(invalidValue(at, `${at} does not conform to the kubernetes ${rules} rules : ${problems.join(', ')}`))
  }
  if (!policies.includes(dnsPolicy))
    errors.push({
      field: `${path}.dnsPolicy`,
      message: `DNSPolicy: ${cut(dnsPolicy)} is not supported, valid values: [${policies.join(' ')}]`,
      reason: 'FieldValueNotSupported',
    })
  return [...errors, ...configErrors(spec, `${path}.dnsConfig`)]
}

function configErrors({ dnsPolicy, dnsConfig, subdomain = '' }: VmiSpec, at: string): FieldError[] {
  const required = (field: string, what: string): FieldError[] => [
    { field, message: `must provide ${what} when \`dnsPolicy\` is None`, reason: 'FieldValueRequired' },
  ]
  if (dnsPolicy === 'None' && !dnsConfig) return required(at, '`dnsConfig`')
  if (dnsPolicy === 'None' && !dnsConfig?.nameservers?.length)
    return required(`${at}.nameservers`, 'at least one DNS nameserver')
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {}
  const messages = {
    nameservers: [
      ...(nameservers.length > maxNameservers
        ? [`must not have more than ${maxNameservers} nameservers: [${cut(nameservers.join(' '))}]`]
        : []),
      ...nameservers.flatMap(serverProblem),
    ],
    searches: searchProblems(searches, subdomain),
    options: options.some(({ name }) => !name) ? ['Option.Name must not be empty'] : [],
  }
  return Object.entries(messages).flatMap(([field, list]) =>
    list.map((message) => invalidValue(`${at}.${field}`, message)),
  )
}

function serverProblem(server: string): string[] {
  if (isIpv4(server)) return []
  const isIpv6 = server.includes(':') && /^[\da-fA-F:.]+$/.test(server)
  return [
    isIpv6
      ? `must be an IPv4 address, as guests get it by DHCP, which is for IPv4 only here: ${cut(server)}`
      : `must be valid IP address: ${cut(server)}`,
  ]
}

function searchProblems(searches: readonly string[], subdomain: string): string[] {
  const problems = searches.flatMap((one) => nameProblems(one, dnsSubdomain))
  if (searches.length > maxSearches) problems.push(`must not have more than ${maxSearches} search paths`)
  if (searches.join(' ').length > maxSearchCharacters)
    problems.push(`must not have more than ${maxSearchCharacters} characters (including spaces) in the search list`)
  if (problems.length || !searches.length) return problems
  // KubeVirt detects this only when it starts the guest.
  const bytes = searchBytes([...(subdomain ? [subdomain + clusterPart] : []), ...searches])
  const why =
    'there is no room for more in DHCP; a domain takes 2 more than its length, and so does the subdomain with what follows it'
  return bytes > maxOptionBytes ? [`must take no more than ${maxOptionBytes} bytes, and take ${bytes}: ${why}`] : []
}
