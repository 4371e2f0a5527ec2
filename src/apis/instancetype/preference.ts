import { Type } from 'typebox'
import { diskSchema } from '../kubevirt/disk.ts'
import * as hardware from '../kubevirt/hardware.ts'
import { noEffect, notCarriedOut } from '../meta/fate.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { loose, type Of, objectSchema, oneOf, quantity, stringMap } from '../meta/schema.ts'
import { instancetypeGroup, instancetypeVersion } from './instancetype.ts'

const text = Type.Optional(Type.String())
const flag = Type.Optional(Type.Boolean())
const switchable = Type.Optional(Type.Object({ enabled: flag }))

/** How the CPUs of an instance type become a topology; the second form of each is KubeVirt's newer one. */
const topologies = [
  ...['sockets', 'cores', 'threads', 'spread', 'any'],
  ...['preferSockets', 'preferCores', 'preferThreads', 'preferSpread', 'preferAny'],
] as const

const devices = Type.Object({
  preferredAutoattachGraphicsDevice: flag,
  preferredAutoattachInputDevice: flag,
  preferredAutoattachMemBalloon: flag,
  preferredAutoattachPodInterface: Type.Optional(noEffect(Type.Boolean(), 'interfaces are stored in the VM')),
  preferredAutoattachSerialConsole: flag,
  preferredBlockMultiQueue: flag,
  preferredCdromBus: text,
  preferredDisableHotplug: flag,
  preferredDiskBlockSize: diskSchema.properties.blockSize,
  preferredDiskBus: text,
  preferredDiskCache: text,
  preferredDiskDedicatedIoThread: flag,
  preferredDiskIO: text,
  preferredInputBus: text,
  preferredInputType: text,
  preferredInterfaceMasquerade: Type.Optional(noEffect(Type.Object({}), 'the default binding is masquerade')),
  preferredInterfaceModel: text,
  preferredLunBus: Type.Optional(noEffect(Type.String(), 'there are no luns')),
  preferredNetworkInterfaceMultiQueue: flag,
  preferredPanicDeviceModel: Type.Optional(notCarriedOut(Type.String())),
  preferredRng: Type.Optional(loose()),
  preferredSoundModel: text,
  preferredTPM: Type.Optional(Type.Object({ enabled: flag, persistent: flag })),
  preferredUseVirtioTransitional: flag,
  preferredVideoType: text,
  preferredVirtualGPUOptions: Type.Optional(notCarriedOut(Type.Object({}, { additionalProperties: true }))),
})

const preferenceSpec = Type.Object({
  annotations: Type.Optional(stringMap),
  clock: Type.Optional(
    Type.Object({
      preferredClockOffset: Type.Optional(
        Type.Object({ timezone: text, utc: Type.Optional(hardware.clockSchema.properties.utc) }),
      ),
      preferredTimer: hardware.clockSchema.properties.timer,
    }),
  ),
  cpu: Type.Optional(
    Type.Object({
      preferredCPUTopology: Type.Optional(oneOf(topologies)),
      preferredCPUFeatures: Type.Optional(hardware.cpuFeaturesSchema),
      spreadOptions: Type.Optional(
        Type.Object({
          across: Type.Optional(oneOf(['SocketsCores', 'SocketsCoresThreads', 'CoresThreads'])),
          ratio: Type.Optional(Type.Integer({ minimum: 1 })),
        }),
      ),
    }),
  ),
  devices: Type.Optional(devices),
  features: Type.Optional(
    Type.Object({
      preferredAcpi: hardware.featuresSchema.properties.acpi,
      preferredApic: hardware.featuresSchema.properties.apic,
      preferredHyperv: hardware.featuresSchema.properties.hyperv,
      preferredHypervPassthrough: switchable,
      preferredKvm: hardware.featuresSchema.properties.kvm,
      preferredPvspinlock: switchable,
      preferredSmm: hardware.featuresSchema.properties.smm,
    }),
  ),
  firmware: Type.Optional(
    Type.Object({
      preferredEfi: Type.Optional(Type.Object({ persistent: flag, secureBoot: flag })),
      preferredUseBios: flag,
      preferredUseBiosSerial: flag,
      preferredUseEfi: flag,
      preferredUseSecureBoot: flag,
    }),
  ),
  machine: Type.Optional(Type.Object({ preferredMachineType: text })),
  preferSpreadSocketToCoreRatio: Type.Optional(Type.Integer({ minimum: 1 })),
  preferredArchitecture: text,
  preferredSubdomain: text,
  preferredTerminationGracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
  requirements: Type.Optional(
    Type.Object({
      architecture: text,
      cpu: Type.Optional(Type.Object({ guest: Type.Integer({ description: 'Fewest CPUs of a guest.' }) })),
      memory: Type.Optional(Type.Object({ guest: quantity('Least memory of a guest.', { minimum: 0 }) })),
    }),
  ),
  volumes: Type.Optional(Type.Object({ preferredStorageClassName: Type.Optional(notCarriedOut(Type.String())) })),
})
export type PreferenceSpec = Of<typeof preferenceSpec>

type Preference = Readonly<{ apiVersion: string; kind: string; metadata: ObjectMeta; spec?: PreferenceSpec }>

const common = {
  group: instancetypeGroup,
  version: instancetypeVersion,
  categories: [],
  status: false,
  columns: [{ name: 'Age', type: 'date', path: 'metadata.creationTimestamp' }],
  schema: objectSchema(
    { spec: Type.Optional(preferenceSpec) },
    'Hardware of virtual machines that name it, where they say nothing.',
  ),
} as const

/** A preference for the VMs of its namespace. */
export type VirtualMachinePreference = Preference
export const VirtualMachinePreference: Kind<VirtualMachinePreference> = {
  ...common,
  kind: 'VirtualMachinePreference',
  plural: 'virtualmachinepreferences',
  singular: 'virtualmachinepreference',
  shortNames: ['vmpref', 'vmprefs', 'vmp', 'vmps'],
  namespaced: true,
}

/** A preference for all VMs. */
export type VirtualMachineClusterPreference = Preference
export const VirtualMachineClusterPreference: Kind<VirtualMachineClusterPreference> = {
  ...common,
  kind: 'VirtualMachineClusterPreference',
  plural: 'virtualmachineclusterpreferences',
  singular: 'virtualmachineclusterpreference',
  shortNames: ['vmcp', 'vmcps'],
  namespaced: false,
}
