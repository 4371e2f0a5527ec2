import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Volume } from '#apis/kubevirt/disk.ts'
import type { VirtualMachineInstance, VmiSpec } from '#apis/kubevirt/vmi.ts'
import { toBase64 } from '#base/base64.ts'
import { seedOf } from './seed.ts'
import { type SourceObjects, sourcesOf } from './sources.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const objects = (secrets: Record<string, Record<string, string>>, maps: typeof secrets = {}): SourceObjects => {
  const of = (all: typeof secrets, name: string) =>
    all[name] && new Map(Object.entries(all[name]).map(([key, value]) => [key, bytes(value)]))
  return { secret: (name) => of(secrets, name), configMap: (name) => of(maps, name), claim: () => undefined }
}
const none = objects({})

function vmi(spec: Partial<VmiSpec> = {}): VirtualMachineInstance {
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachineInstance',
    metadata: {
      name: 'web.example',
      namespace: 'ns',
      uid: 'instance',
      labels: { a: 'b', app: 'x"y' },
      ownerReferences: [{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', name: 'web.example', uid: 'vm' }],
    },
    spec: { domain: { devices: {} }, ...spec },
  }
}

/** The files of a volume's disk as texts, or its problem. */
function read(volume: Omit<Volume, 'name'>, found = none, of = vmi()) {
  const seed = seedOf({ name: 'v', ...volume }, of, found)
  if (!seed || 'problem' in seed) return seed?.problem
  const texts = [...seed.files].map(([path, data]) => [path, new TextDecoder().decode(data)])
  return { label: seed.label, ...Object.fromEntries(texts) }
}

test('NoCloud has what its owner wrote, and an identity that is the same over all starts of the VM', () => {
  assert.deepEqual(read({ cloudInitNoCloud: { userData: '#cloud-config', networkData: 'version: 2' } }), {
    label: 'cidata',
    'meta-data': '{"instance-id":"vm","local-hostname":"web"}\n',
    'user-data': '#cloud-config',
    'network-config': 'version: 2',
  })
  const own = vmi({ domain: { firmware: { uuid: 'mine' }, devices: {} }, hostname: 'h' })
  assert.deepEqual(read({ cloudInitNoCloud: { userDataBase64: toBase64('#!/bin/sh') } }, none, own), {
    label: 'cidata',
    'meta-data': '{"instance-id":"mine","local-hostname":"h"}\n',
    'user-data': '#!/bin/sh',
  })
})

test('data is in Secrets under either spelling; a Secret that is missing is named', () => {
  const volume = { cloudInitNoCloud: { secretRef: { name: 'u' }, networkDataSecretRef: { name: 'n' } } }
  for (const [user, network] of [
    ['userdata', 'networkdata'],
    ['userData', 'networkData'],
  ] as const) {
    const seed = read(volume, objects({ u: { [user]: 'U' }, n: { [network]: 'N' } }))
    assert.deepEqual(
      [(seed as Record<string, string>)['user-data'], (seed as Record<string, string>)['network-config']],
      ['U', 'N'],
    )
  }
  assert.equal(read(volume), 'secret "u" not found; secret "n" not found')
  assert.equal(
    read(volume, objects({ u: { x: '' }, n: { networkdata: 'N' } })),
    'the secret "u" has none of the keys userdata, userData',
  )
  assert.deepEqual(
    sourcesOf({ spec: { domain: { devices: {} }, volumes: [{ name: 'v', ...volume }] } }).map(
      ({ kind, name }) => `${kind} ${name}`,
    ),
    ['Secret u', 'Secret n'],
  )
})

test('a config drive is as OpenStack has it, with the devices that have a tag', () => {
  const of = vmi({
    domain: {
      devices: {
        interfaces: [{ name: 'n', tag: 'front', macAddress: '02:00:00:00:00:01' }, { name: 'm' }],
        disks: [{ name: 'd', tag: 'data', serial: 's1' }],
      },
    },
  })
  const seed = read({ cloudInitConfigDrive: { userData: 'U', networkData: '{}' } }, none, of) as Record<string, string>
  assert.deepEqual(Object.keys(seed), [
    'label',
    'openstack/latest/meta_data.json',
    'openstack/latest/user_data',
    'openstack/latest/network_data.json',
  ])
  assert.equal(seed.label, 'config-2')
  assert.deepEqual(JSON.parse(seed['openstack/latest/meta_data.json'] ?? ''), {
    instance_id: 'web.example.ns',
    uuid: 'vm',
    hostname: 'web',
    devices: [
      { type: 'nic', bus: 'pci', mac: '02:00:00:00:00:01', tags: ['front'] },
      { type: 'disk', serial: 's1', tags: ['data'] },
    ],
  })
})

test('SSH keys of credentials are public keys of the way they are propagated in', () => {
  const credential = (secretName: string, method: object) => ({
    sshPublicKey: { source: { secret: { secretName } }, propagationMethod: method },
  })
  const of = vmi({ accessCredentials: [credential('a', { noCloud: {} }), credential('b', { configDrive: {} })] })
  const found = objects({ a: { key2: 'ssh-b\n', key1: 'ssh-a\nssh-c' }, b: { k: 'ssh-d' } })
  const noCloud = read({ cloudInitNoCloud: { userData: 'x' } }, found, of) as Record<string, string>
  assert.deepEqual(JSON.parse(noCloud['meta-data'] ?? '')['public-keys'], { 0: 'ssh-a', 1: 'ssh-c', 2: 'ssh-b' })
  const drive = read({ cloudInitConfigDrive: { userData: 'x' } }, found, of) as Record<string, string>
  assert.deepEqual(JSON.parse(drive['openstack/latest/meta_data.json'] ?? '').public_keys, { 0: 'ssh-d' })
  assert.equal(read({ cloudInitNoCloud: { userData: 'x' } }, none, of), 'secret "a" not found')
})

test('ConfigMaps and Secrets are files by their keys; an optional one may be missing', () => {
  assert.deepEqual(read({ configMap: { name: 'm' } }, objects({}, { m: { k: 'v' } })), { label: 'cfgdata', k: 'v' })
  assert.deepEqual(read({ secret: { secretName: 's', volumeLabel: 'mine' } }, objects({ s: { k: 'v' } })), {
    label: 'mine',
    k: 'v',
  })
  assert.deepEqual(read({ secret: { secretName: 's', optional: true } }), { label: 'cfgdata' })
  assert.equal(read({ configMap: { name: 'm' } }), 'configmap "m" not found')
})

test('the downward API tells the metadata of the instance, and names a field that it does not have', () => {
  const field = (path: string, fieldPath: string) => ({ path, fieldRef: { fieldPath } })
  const fields = [
    field('name', 'metadata.name'),
    field('labels', 'metadata.labels'),
    field('app', "metadata.labels['app']"),
    field('none', "metadata.annotations['none']"),
  ]
  assert.deepEqual(read({ downwardAPI: { fields } }), {
    label: 'cfgdata',
    name: 'web.example',
    labels: 'a="b"\napp="x\\"y"',
    app: 'x"y',
    none: '',
  })
  assert.match(
    String(read({ downwardAPI: { fields: [field('x', 'spec.nodeName')] } })),
    /unsupported fieldPath: spec.nodeName/,
  )
})

test("the disk of Windows' setup must have its answers", () => {
  assert.deepEqual(
    read({ sysprep: { configMap: { name: 'm' } } }, objects({}, { m: { 'Autounattend.xml': '<x/>' } })),
    {
      label: 'unattendCD',
      'Autounattend.xml': '<x/>',
    },
  )
  assert.equal(
    read({ sysprep: { secret: { name: 's' } } }, objects({ s: { other: '' } })),
    'Sysprep drive should contain autounattend.xml or unattend.xml; the secret "s" has neither',
  )
})

test('a volume of another kind has no generated disk', () => {
  assert.equal(seedOf({ name: 'v', emptyDisk: { capacity: '1Gi' } }, vmi(), none), undefined)
})
