import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Interface } from '#apis/kubevirt/interface.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { DesiredNic } from '../nic/nic.ts'
import { addressesWithoutDhcp, dhcpSettings, hostnameOf, searchBytes } from './dhcp.ts'

const vmi = (spec: Partial<VmiSpec> = {}, name = 'shop') => ({
  metadata: { name, namespace: 'team' },
  spec: { domain: { devices: {} }, ...spec } as VmiSpec,
})
const told = (spec: Partial<VmiSpec>, dhcpOptions?: Interface['dhcpOptions']) =>
  dhcpSettings(vmi(spec), dhcpOptions ? { dhcpOptions } : {})

for (const [title, spec, name, hostname] of [
  ['that of the VM', {}, 'shop', 'shop'],
  ['the first part of that of the VM', {}, 'shop.example', 'shop'],
  ['what its owner chose', { hostname: 'front-1' }, 'shop', 'front-1'],
  ['cut to what a label may have', {}, `${'a'.repeat(62)}-b`, 'a'.repeat(62)],
  ['a label, whatever was stored once', { hostname: 'Front_1.x' }, 'shop', 'front-1-x'],
] as const)
  test(`the name of a guest is ${title}`, () => assert.equal(hostnameOf(vmi(spec, name)), hostname))

test('a guest whose owner says nothing is told its name', () => {
  assert.deepEqual(told({}), { hostname: 'shop' })
  assert.deepEqual(told({ dnsPolicy: 'Default' }), { hostname: 'shop' })
})

test('a subdomain makes the domain that pods of the namespace have', () => {
  for (const dnsPolicy of [undefined, 'ClusterFirst', 'ClusterFirstWithHostNet'])
    assert.deepEqual(told({ subdomain: 'web', ...(dnsPolicy && { dnsPolicy }) }), {
      hostname: 'shop',
      domain: 'web.team.svc.cluster.local',
      searches: ['web.team.svc.cluster.local'],
    })
})

test('a subdomain makes no domain where names are not those of a cluster', () => {
  for (const dnsPolicy of ['Default', 'None']) assert.equal(told({ subdomain: 'web', dnsPolicy }).domain, undefined)
  const dnsConfig = { searches: ['x.svc.lan', 'example'] }
  assert.deepEqual(told({ subdomain: 'web', dnsPolicy: 'None', dnsConfig }).searches, [
    'web.x.svc.lan',
    'x.svc.lan',
    'example',
  ])
  const whole = { searches: ['web.x.svc.lan'] }
  assert.deepEqual(told({ subdomain: 'web', dnsPolicy: 'None', dnsConfig: whole }).searches, whole.searches)
})

test('the domain is the longest of those that names are looked up in', () => {
  const { domain, searches } = told({ dnsConfig: { searches: ['example', 'lab.example'] } })
  assert.deepEqual([domain, searches], ['lab.example', ['example', 'lab.example']])
})

test("name servers of the owner come beside the host's, or in their place with the policy None", () => {
  const dnsConfig = { nameservers: ['10.5.5.5'] }
  assert.deepEqual(told({ dnsConfig }), { hostname: 'shop', nameservers: ['10.5.5.5'] })
  assert.deepEqual(told({ dnsPolicy: 'None', dnsConfig }), {
    hostname: 'shop',
    nameservers: ['10.5.5.5'],
    isOwnDns: true,
  })
})

test('options of the interface are told as they are', () => {
  const options = {
    bootFileName: 'pxe.0',
    tftpServerName: 'tftp.example',
    ntpServers: ['10.1.1.1'],
    privateOptions: [{ option: 240, value: 'site-7' }],
  }
  assert.deepEqual(told({}, options), { hostname: 'shop', ...options })
})

test('what was stored before it was judged, and cannot be told, is left out', () => {
  const long = 'x'.repeat(255)
  const options = {
    bootFileName: long,
    tftpServerName: 'a\nb',
    ntpServers: ['::1', '999.1.1.1'],
    privateOptions: [
      { option: 223, value: 'a' },
      { option: 224, value: long },
      { option: 225, value: '' },
      { option: 226, value: 'b' },
      { option: 226, value: 'c' },
    ],
  }
  const dnsConfig = { nameservers: 'none', searches: ['-', 'a,b', ...Array(4).fill('d'.repeat(61))] } as never
  const { privateOptions, searches, ...rest } = told({ dnsConfig }, options)
  assert.deepEqual(rest, { hostname: 'shop', domain: 'd'.repeat(61) })
  assert.deepEqual(privateOptions, [{ option: 226, value: 'b' }])
  assert.equal(searches?.length, 4, 'as many as there is room for')
  assert.equal(told({ dnsConfig: { searches: Array(5).fill('d'.repeat(61)) } }).searches?.length, 4)
})

test('a domain takes two bytes more than its length', () => {
  // 7 "example" 3 "com" 0, and 3 "lab" 0
  assert.equal(searchBytes(['example.com', 'lab']), 13 + 5)
})

test('of the addresses a guest is not told its owner is told', () => {
  const nic = { name: 'blue', network: 'default/blue' } as DesiredNic
  assert.deepEqual(addressesWithoutDhcp([nic], new Map([['blue', ['10.0.0.2']]])), [])
  assert.deepEqual(addressesWithoutDhcp([nic], new Map()), [])
  const [text, ...more] = addressesWithoutDhcp([nic], new Map([['blue', ['10.0.0.2', 'fd00::2', 'fd01::2']]]))
  assert.match(
    text ?? '',
    /^The network default\/blue gave interface "blue" the address fd00::2, fd01::2, which the guest is not told/,
  )
  assert.deepEqual(more, [])
})
