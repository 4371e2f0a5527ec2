import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DataVolumeSpec } from '#apis/cdi/datavolume.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { type InferWorld, inferredFrom } from './infer.ts'
import { withMatcherDefaults } from './matcher.ts'

const label = 'instancetype.kubevirt.io/default-instancetype'

function vm(volume: object, more: Partial<VirtualMachine['spec']> = {}): VirtualMachine {
  const volumes = [{ name: 'root', ...volume }]
  return {
    ...{ apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachine', metadata: { name: 'a', namespace: 'ns' } },
    spec: { template: { spec: { domain: { devices: {} }, volumes } }, ...more },
  }
}

/** Objects by `namespace/name`, each with its labels. */
function world(
  claims: Readonly<Record<string, Record<string, string>>>,
  more: Readonly<{
    dataVolumes?: Record<string, DataVolumeSpec>
    dataSources?: Record<string, Record<string, string>>
  }> = {},
): InferWorld {
  const at = ({ namespace, name }: { namespace: string; name: string }) => `${namespace}/${name}`
  const of = (kind: string, name: string) => ({ apiVersion: 'cdi.kubevirt.io/v1beta1', kind, metadata: { name } })
  return {
    claim: (key) => claims[at(key)] && { metadata: { name: key.name, labels: claims[at(key)]! } },
    dataVolume: (key) => {
      const spec = more.dataVolumes?.[at(key)]
      return spec && { ...of('DataVolume', key.name), spec }
    },
    dataSource: (key) => {
      const labels = more.dataSources?.[at(key)]
      const one = of('DataSource', key.name)
      return (
        labels && {
          ...one,
          metadata: { ...one.metadata, labels },
          spec: { source: { pvc: { namespace: 'os', name: 'golden' } } },
        }
      )
    },
  }
}

const golden = { [label]: 'u1.small', [`${label}-kind`]: 'virtualmachineinstancetype' }
const small = { name: 'u1.small', kind: 'virtualmachineinstancetype' }
const infer = (one: VirtualMachine, all: InferWorld) => inferredFrom(one, 'root', 'instancetype', all)

test('a default is the one of the claim, or of what a DataVolume copies', () => {
  assert.deepEqual(infer(vm({ persistentVolumeClaim: { claimName: 'p' } }), world({ 'ns/p': golden })), small)
  const dataVolume = vm({ dataVolume: { name: 'd' } })
  assert.deepEqual(infer(dataVolume, world({ 'ns/d': golden })), small)
  const copy = { 'ns/d': { source: { pvc: { namespace: 'os', name: 'golden' } } } }
  assert.deepEqual(infer(dataVolume, world({ 'os/golden': golden }, { dataVolumes: copy })), small)
})

test('that of a template is the nearest of its own, of its DataSource, and of the claim that this names', () => {
  const sourceRef = { kind: 'DataSource', namespace: 'os', name: 'stream' }
  const template = (labels?: Record<string, string>) =>
    vm(
      { dataVolume: { name: 'd' } },
      {
        dataVolumeTemplates: [{ metadata: { name: 'd', ...(labels && { labels }) }, spec: { sourceRef, storage: {} } }],
      },
    )
  const named = (dataSources: Record<string, Record<string, string>>) => world({ 'os/golden': golden }, { dataSources })
  assert.deepEqual(infer(template(), named({ 'os/stream': {} })), small)
  assert.deepEqual(infer(template(), named({ 'os/stream': { [label]: 'by-source' } })), { name: 'by-source' })
  assert.deepEqual(infer(template({ [label]: 'own' }), named({ 'os/stream': golden })), { name: 'own' })
  assert.equal(infer(template(), named({})), undefined)
})

test('a volume without a default, and one that is not there, have none', () => {
  assert.equal(infer(vm({ persistentVolumeClaim: { claimName: 'p' } }), world({ 'ns/p': {} })), undefined)
  assert.equal(infer(vm({ containerDisk: { image: 'x' } }), world({})), undefined)
  assert.equal(inferredFrom(vm({}), 'other', 'instancetype', world({})), undefined)
})

test('the name takes the place of the volume, and of a name that was inferred before', () => {
  const own = vm({ persistentVolumeClaim: { claimName: 'p' } }, { instancetype: { inferFromVolume: 'root' } })
  const all = world({ 'ns/p': golden })
  assert.deepEqual(withMatcherDefaults(own, all).spec.instancetype, small)
  const again = { ...own, spec: { ...own.spec, instancetype: { name: 'old', inferFromVolume: 'root' } } }
  assert.deepEqual(withMatcherDefaults(again, all).spec.instancetype, small)
  const kind = 'virtualmachineclusterinstancetype'
  assert.deepEqual(withMatcherDefaults(again, world({})).spec.instancetype, { name: 'old', kind })
  assert.deepEqual(withMatcherDefaults(own, world({})).spec.instancetype, { inferFromVolume: 'root', kind })
})
