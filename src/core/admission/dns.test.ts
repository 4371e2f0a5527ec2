import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { dnsLabel, dnsSubdomain } from '#apis/meta/names.ts'
import { dnsErrors } from './dns.ts'
import { instanceErrors } from './instance.ts'
import { vmErrors } from './vm.ts'

const room = /^fake\.dnsConfig\.searches \| must take no more than 254 bytes, and take (\d+): /

const rows: readonly (readonly [name: string, spec: Partial<VmiSpec>, errors: readonly (string | RegExp)[]])[] = [
  ['nothing', {}, []],
  ['a host name and a subdomain', { hostname: 'front-1', subdomain: 'web.a' }, []],
  [
    'a host name with a plus sign',
    { hostname: 'test+bad' },
    [`fake.hostname | fake.hostname does not conform to the kubernetes DNS_LABEL rules : ${dnsLabel.rule}`],
  ],
  [
    'a host name with a dot',
    { hostname: 'a.b' },
    [`fake.hostname | fake.hostname does not conform to the kubernetes DNS_LABEL rules : ${dnsLabel.rule}`],
  ],
  [
    'a host name of 64 characters',
    { hostname: 'a'.repeat(64) },
    [
      'fake.hostname | fake.hostname does not conform to the kubernetes DNS_LABEL rules : must be no more than 63 characters',
    ],
  ],
  [
    'a subdomain with a plus sign',
    { subdomain: 'bad+domain' },
    [`fake.subdomain | fake.subdomain does not conform to the kubernetes DNS_SUBDOMAIN rules : ${dnsSubdomain.rule}`],
  ],
  [
    'policy FakePolicy',
    { dnsPolicy: 'FakePolicy' },
    [
      'fake.dnsPolicy | DNSPolicy: FakePolicy is not supported, valid values: [ClusterFirstWithHostNet ClusterFirst Default None ]',
    ],
  ],
  ...['ClusterFirstWithHostNet', 'ClusterFirst', 'Default'].map(
    (dnsPolicy) => [`policy ${dnsPolicy}`, { dnsPolicy }, []] as const,
  ),
  ['policy None alone', { dnsPolicy: 'None' }, ['fake.dnsConfig | must provide `dnsConfig` when `dnsPolicy` is None']],
  [
    'policy None without a name server',
    { dnsPolicy: 'None', dnsConfig: { searches: ['a'] } },
    ['fake.dnsConfig.nameservers | must provide at least one DNS nameserver when `dnsPolicy` is None'],
  ],
  ['policy None with one', { dnsPolicy: 'None', dnsConfig: { nameservers: ['1.2.3.4'] } }, []],
  [
    'four name servers',
    { dnsConfig: { nameservers: ['1.2.3.4', '5.6.7.8', '9.8.0.1', '2.3.4.5'] } },
    ['fake.dnsConfig.nameservers | must not have more than 3 nameservers: [1.2.3.4 5.6.7.8 9.8.0.1 2.3.4.5]'],
  ],
  [
    'a name server that is none',
    { dnsConfig: { nameservers: ['1.2.3.c'] } },
    ['fake.dnsConfig.nameservers | must be valid IP address: 1.2.3.c'],
  ],
  [
    'a name server of IPv6',
    { dnsConfig: { nameservers: ['fd00::53'] } },
    [
      'fake.dnsConfig.nameservers | must be an IPv4 address, as guests get it by DHCP, which is for IPv4 only here: fd00::53',
    ],
  ],
  [
    '33 domains',
    { dnsConfig: { searches: Array(33).fill('a') } },
    ['fake.dnsConfig.searches | must not have more than 32 search paths'],
  ],
  [
    'domains of more than 2048 characters',
    { dnsConfig: { searches: Array(17).fill('a'.repeat(125)) } },
    ['fake.dnsConfig.searches | must not have more than 2048 characters (including spaces) in the search list'],
  ],
  ['32 short domains', { dnsConfig: { searches: Array(32).fill('a') } }, []],
  ['domains of 254 bytes', { dnsConfig: { searches: ['a'.repeat(252)] } }, []],
  ['domains of 256 bytes', { dnsConfig: { searches: ['a'.repeat(250), 'bb'] } }, [room]],
  ['domains of 204 bytes and a subdomain', { subdomain: 'web', dnsConfig: { searches: ['a'.repeat(202)] } }, [room]],
  ['a domain that is none', { dnsConfig: { searches: ['a,b'] } }, [`fake.dnsConfig.searches | ${dnsSubdomain.rule}`]],
  [
    'an option without a name',
    { dnsConfig: { options: [{ value: '2' }] } },
    ['fake.dnsConfig.options | Option.Name must not be empty'],
  ],
  ['an option', { dnsConfig: { options: [{ name: 'ndots', value: '2' }] } }, []],
]

for (const [name, fields, expected] of rows)
  test(`names a guest is told: ${name}`, () => {
    const spec = { domain: { devices: {} }, ...fields } as VmiSpec
    const errors = dnsErrors(spec, 'fake').map(({ field, message }) => `${field} | ${message}`)
    assert.equal(errors.length, expected.length, errors.join('\n'))
    for (const [i, one] of expected.entries())
      if (typeof one === 'string') assert.equal(errors[i], one)
      else assert.match(errors[i]!, one)
  })

test('names a guest is told are judged in a VM and in an instance', () => {
  const spec = { domain: { devices: {} }, hostname: 'a.b' } as VmiSpec
  const meta = { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: { name: 'x' } }
  const fields = [
    ...vmErrors({ ...meta, spec: { runStrategy: 'Always', template: { spec } } }),
    ...instanceErrors({ ...meta, kind: 'VirtualMachineInstance', spec }, undefined, { groups: [] }),
  ].map(({ field }) => field)
  assert.deepEqual(fields, ['spec.template.spec.hostname', 'spec.hostname'])
})
