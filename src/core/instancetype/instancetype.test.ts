import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import type { InstancetypeSpec } from '#apis/instancetype/instancetype.ts'
import { VirtualMachineClusterInstancetype } from '#apis/instancetype/instancetype.ts'
import type { PreferenceSpec } from '#apis/instancetype/preference.ts'
import type { Matcher, VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { builtInInstancetypes, builtInPreferences } from './built-in.ts'
import { expanded, expandedAlone, typeErrors } from './expand.ts'
import { findTypes, type Types, withMatcherDefaults } from './matcher.ts'
import { topologyOf } from './size.ts'

type Over = Readonly<{
  domain?: Partial<VmiSpec['domain']>
  spec?: Partial<VmiSpec>
  vm?: Partial<VirtualMachine['spec']>
}>

const vm = ({ domain, spec, vm: more }: Over = {}): VirtualMachine => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'a', namespace: 'ns' },
  spec: {
    instancetype: { name: 'small' },
    preference: { name: 'sata' },
    template: { spec: { domain: { devices: {}, ...domain }, ...spec } },
    ...more,
  },
})
const type = (more: Partial<InstancetypeSpec> = {}): InstancetypeSpec => ({
  cpu: { guest: 2 },
  memory: { guest: '1Gi' },
  ...more,
})
const specOf = (one: VirtualMachine, instancetype?: InstancetypeSpec, preference?: PreferenceSpec) =>
  expanded(one, { ...(instancetype && { instancetype }), ...(preference && { preference }), missing: [] }).spec.template
    .spec
const messages = (one: VirtualMachine, types: Partial<Types>) =>
  typeErrors(one, { missing: [], ...types }).map(({ field, message }) => `${field}: ${message}`)

describe('an instance type', () => {
  it('decides CPUs and memory, as sockets unless the preference says otherwise', () => {
    const { domain } = specOf(vm(), type())
    assert.deepEqual(domain.cpu, { sockets: 2, cores: 1, threads: 1 })
    assert.deepEqual(domain.memory, { guest: '1Gi' })
  })

  it('brings what else it names into the spec', () => {
    const given = type({
      cpu: { guest: 1, model: 'Skylake', dedicatedCPUPlacement: true },
      memory: { guest: '1Gi', overcommitPercent: 50 },
      ioThreadsPolicy: 'auto',
      nodeSelector: { disk: 'ssd' },
      schedulerName: 'mine',
    })
    const spec = specOf(vm({ spec: { nodeSelector: { zone: 'a' } } }), given)
    assert.deepEqual(spec.domain.memory, { guest: '1Gi' })
    assert.equal(spec.domain.cpu?.model, 'Skylake')
    assert.equal(spec.domain.cpu?.dedicatedCpuPlacement, true)
    assert.equal(spec.domain.ioThreadsPolicy, 'auto')
    assert.deepEqual(spec.nodeSelector, { zone: 'a', disk: 'ssd' })
    assert.equal(spec.schedulerName, 'mine')
  })

  const at = 'spec.template.spec.domain'
  const conflicts: readonly [what: string, Over, fields: readonly string[]][] = [
    ['cores', { domain: { cpu: { cores: 2 } } }, [`${at}.cpu.cores`]],
    ['memory', { domain: { memory: { guest: '2Gi' } } }, [`${at}.memory`]],
    ['requests', { domain: { resources: { requests: { memory: '2Gi' } } } }, [`${at}.resources.requests.memory`]],
    ['limits', { domain: { resources: { limits: { cpu: '2' } } } }, [`${at}.resources.limits.cpu`]],
    ['two', { domain: { cpu: { sockets: 1, threads: 1 } } }, [`${at}.cpu.sockets`, `${at}.cpu.threads`]],
    ['a model, which this type leaves open', { domain: { cpu: { model: 'Conroe' } } }, []],
    ['nothing', {}, []],
  ]
  for (const [what, over, fields] of conflicts)
    it(`refuses a template that has ${what} of its own`, () => {
      const expected = fields.length
        ? [`${fields[0]}: VM field(s) ${fields.join(', ')} conflicts with selected instance type`]
        : []
      assert.deepEqual(messages(vm(over), { instancetype: type() }), expected)
    })
})

test('the CPUs of an instance type become the topology that is preferred', () => {
  const rows: readonly [cpus: number, NonNullable<PreferenceSpec['cpu']>, topology: string][] = [
    [4, {}, '4 1 1'],
    [4, { preferredCPUTopology: 'sockets' }, '4 1 1'],
    [4, { preferredCPUTopology: 'any' }, '4 1 1'],
    [4, { preferredCPUTopology: 'preferCores' }, '1 4 1'],
    [4, { preferredCPUTopology: 'threads' }, '1 1 4'],
    [4, { preferredCPUTopology: 'spread' }, '2 2 1'],
    [8, { preferredCPUTopology: 'preferSpread', spreadOptions: { ratio: 4 } }, '2 4 1'],
    [8, { preferredCPUTopology: 'spread', spreadOptions: { across: 'SocketsCoresThreads' } }, '2 2 2'],
    [8, { preferredCPUTopology: 'spread', spreadOptions: { across: 'CoresThreads' } }, '1 4 2'],
    [3, { preferredCPUTopology: 'spread' }, '3 1 1'],
  ]
  for (const [cpus, cpu, expected] of rows) {
    const { sockets, cores, threads } = topologyOf(cpus, { cpu })
    assert.equal(`${sockets} ${cores} ${threads}`, expected, JSON.stringify(cpu))
  }
})

describe('a preference', () => {
  const preference: PreferenceSpec = {
    devices: {
      preferredDiskBus: 'virtio',
      preferredCdromBus: 'scsi',
      preferredInterfaceModel: 'e1000',
      preferredInputBus: 'virtio',
      preferredTPM: {},
      preferredAutoattachGraphicsDevice: false,
    },
    machine: { preferredMachineType: 'pc-q35-7.2' },
    features: { preferredSmm: {}, preferredHyperv: { relaxed: {}, vapic: {} } },
    firmware: { preferredUseEfi: true, preferredUseSecureBoot: true },
    clock: {
      preferredClockOffset: { utc: {} },
      preferredTimer: { hpet: { present: false }, pit: { tickPolicy: 'delay' } },
    },
    preferredTerminationGracePeriodSeconds: 7,
  }

  it('fills what is unset', () => {
    const devices = {
      disks: [{ name: 'root' }, { name: 'cd', cdrom: {} }],
      interfaces: [{ name: 'default', masquerade: {} }],
      inputs: [{ name: 'i', type: 'tablet' }],
    }
    const volumes = [
      { name: 'root', containerDisk: { image: 'a:1' } },
      { name: 'cd', containerDisk: { image: 'b:1' } },
      { name: 'ci', cloudInitNoCloud: { userData: 'x' } },
    ]
    const spec = specOf(vm({ domain: { devices }, spec: { volumes } }), undefined, preference)
    const { domain } = spec
    assert.deepEqual(domain.devices.disks, [
      { name: 'root', disk: { bus: 'virtio' } },
      { name: 'cd', cdrom: { bus: 'scsi' } },
      { name: 'ci', disk: { bus: 'virtio' } },
    ])
    assert.equal(domain.devices.interfaces?.[0]?.model, 'e1000')
    assert.equal(domain.devices.inputs?.[0]?.bus, 'virtio')
    assert.deepEqual(domain.devices.tpm, {})
    assert.equal(domain.devices.autoattachGraphicsDevice, false)
    assert.deepEqual(domain.machine, { type: 'pc-q35-7.2' })
    assert.deepEqual(domain.features, { smm: {}, hyperv: { relaxed: {}, vapic: {} } })
    assert.deepEqual(domain.firmware, { bootloader: { efi: { secureBoot: true } } })
    assert.deepEqual(domain.clock, { utc: {}, timer: { hpet: { present: false }, pit: { tickPolicy: 'delay' } } })
    assert.equal(spec.terminationGracePeriodSeconds, 7)
  })

  it('leaves what the VM says', () => {
    const own: Partial<VmiSpec['domain']> = {
      devices: {
        disks: [{ name: 'root', disk: { bus: 'sata' } }],
        interfaces: [{ name: 'default', masquerade: {}, model: 'virtio' }],
        tpm: { enabled: false },
        autoattachGraphicsDevice: true,
      },
      machine: { type: 'q35' },
      features: { smm: { enabled: false }, hyperv: { relaxed: { enabled: false }, vapic: {} } },
      firmware: { bootloader: { bios: {} } },
      clock: { timezone: 'Europe/Berlin', timer: { hpet: { present: true }, pit: { tickPolicy: 'catchup' } } },
    }
    const spec = specOf(vm({ domain: own, spec: { terminationGracePeriodSeconds: 0 } }), undefined, preference)
    assert.deepEqual(spec.domain, { ...own })
    assert.equal(spec.terminationGracePeriodSeconds, 0)
  })

  it('may require more than there is', () => {
    const requirements = { cpu: { guest: 4 }, memory: { guest: '4Gi' } }
    assert.deepEqual(messages(vm(), { instancetype: type(), preference: { requirements } }), [
      'spec.instancetype: failure checking preference requirements: insufficient CPU resources of 2 vCPU provided by instance type, preference requires 4 vCPU',
      'spec.instancetype: failure checking preference requirements: insufficient Memory resources of 1Gi provided by instance type, preference requires 4Gi',
    ])
    const big = type({ cpu: { guest: 4 }, memory: { guest: '4Gi' } })
    assert.deepEqual(messages(vm(), { instancetype: big, preference: { requirements } }), [])
  })
})

describe('what a VM names', () => {
  const find = (matcher: Matcher, there = true) => {
    const asked: string[] = []
    const { preference: _, ...spec } = vm({ vm: { instancetype: matcher } }).spec
    const one = { ...vm(), spec }
    const { missing, instancetype } = findTypes(one, {
      instancetype: ({ namespace = '-', name }) => {
        asked.push(`${namespace} ${name}`)
        return there ? { spec: type() } : undefined
      },
      preference: () => undefined,
    })
    return { asked, missing: missing.map(({ why }) => why), isFound: instancetype !== undefined }
  }

  it('is of the kind for all namespaces unless it says otherwise, in any case, singular or plural', () => {
    const all = ['- u1']
    assert.deepEqual(find({ name: 'u1' }).asked, all)
    assert.deepEqual(find({ name: 'u1', kind: 'virtualmachineclusterinstancetypes' }).asked, all)
    const own = ['ns u1']
    assert.deepEqual(find({ name: 'u1', kind: 'VirtualMachineInstancetype' }).asked, own)
  })

  it('is missing in the words of KubeVirt', () => {
    const failure = 'Failure to find instancetype: '
    const rows: readonly [Matcher, string][] = [
      [{ name: 'x' }, 'virtualmachineclusterinstancetypes.instancetype.kubevirt.io "x" not found'],
      [{ name: 'x', kind: 'Flavor' }, 'got unexpected kind in matcher: Flavor'],
      [
        { inferFromVolume: 'root' },
        'volume root, and what it is a copy of, has no label instancetype.kubevirt.io/default-instancetype; set it, or spec.instancetype.name, for example u1.small',
      ],
    ]
    for (const [matcher, why] of rows) {
      assert.deepEqual(find(matcher, false).missing, [failure + why])
      assert.equal(find(matcher, false).isFound, false)
    }
  })

  it('has a kind from admission on, and is dropped where it may be ignored that it is not inferred', () => {
    const { spec } = withMatcherDefaults(
      vm({ vm: { preference: { inferFromVolume: 'root', inferFromVolumeFailurePolicy: 'Ignore' } } }),
      { claim: () => undefined, dataVolume: () => undefined, dataSource: () => undefined },
    )
    assert.deepEqual(spec.instancetype, { name: 'small', kind: VirtualMachineClusterInstancetype.singular })
    assert.equal('preference' in spec, false)
  })

  it('is noted in annotations of the instance, beside those of the types', () => {
    const types: Types = { instancetype: type({ annotations: { a: 'type', b: 'type' } }), missing: [] }
    const own = vm()
    const template = { ...own.spec.template, metadata: { annotations: { a: 'own' } } }
    const { metadata } = expanded({ ...own, spec: { ...own.spec, template } }, types).spec.template
    assert.deepEqual(metadata, {
      annotations: {
        ...{ a: 'own', b: 'type' },
        'kubevirt.io/cluster-instancetype-name': 'small',
        'kubevirt.io/cluster-preference-name': 'sata',
      },
    })
    const alone = expandedAlone(own, types).spec
    assert.deepEqual([alone.instancetype, alone.preference], [undefined, undefined])
  })
})

test('every built-in type and preference has a name of its own, and every size is that of its label', () => {
  for (const list of [builtInInstancetypes, builtInPreferences]) {
    const names = list.map(({ metadata }) => metadata.name)
    assert.equal(new Set(names).size, names.length)
  }
  for (const { metadata, spec } of builtInInstancetypes) {
    assert.equal(metadata.labels?.['instancetype.kubevirt.io/cpu'], String(spec.cpu.guest))
    assert.equal(metadata.labels?.['instancetype.kubevirt.io/memory'], spec.memory.guest)
  }
  const { spec } = builtInInstancetypes.find(({ metadata }) => metadata.name === 'u1.large')!
  assert.deepEqual(spec, { cpu: { guest: 2 }, memory: { guest: '8Gi' } })
})
