import { Type } from 'typebox'
import { noEffect, notCarriedOut, refused } from '../meta/fate.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import {
  conditions,
  listMap,
  loose,
  mapOf,
  type Of,
  objectSchema,
  oneOf,
  quantity,
  stringMap,
  time,
} from '../meta/schema.ts'
import { withFields } from '../meta/shape.ts'
import { affinitySchema, tolerationsSchema } from './affinity.ts'
import { diskSchema, volumeSchema, volumeStatusSchema } from './disk.ts'
import { guestAgentSchema, guestOsInfoSchema, pciPortsSchema, powerRequestSchema } from './guest.ts'
import * as hardware from './hardware.ts'
import { interfaceSchema, interfaceStatusSchema, networkSchema } from './interface.ts'
import { migrationStateSchema } from './migration.ts'
import { probeSchema } from './probe.ts'
import * as parts from './uncarried.ts'
import { vmiStatusFields } from './uncarried-status.ts'

/** Most interfaces, and most networks, of a VM (KubeVirt's limit). */
const maxInterfaces = 256

/** Why devices of a host are refused. */
const noDevices = 'devices of a host are not passed through'

const devices = Type.Object({
  interfaces: Type.Optional(listMap(interfaceSchema, 'name', { maxItems: maxInterfaces })),
  networkInterfaceMultiqueue: Type.Optional(Type.Boolean()),
  autoattachPodInterface: Type.Optional(Type.Boolean()),
  autoattachSerialConsole: Type.Optional(Type.Boolean({ description: 'False: no serial console.' })),
  autoattachGraphicsDevice: Type.Optional(Type.Boolean({ description: 'False: no screen.' })),
  autoattachMemBalloon: Type.Optional(notCarriedOut(Type.Boolean(), 'there is no memory balloon', [false])),
  autoattachInputDevice: Type.Optional(Type.Boolean({ description: 'True: a tablet, if there are no inputs.' })),
  autoattachVSOCK: Type.Optional(notCarriedOut(Type.Boolean(), 'there is no vsock device', [false])),
  blockMultiQueue: Type.Optional(notCarriedOut(Type.Boolean(), '', [false])),
  clientPassthrough: Type.Optional(notCarriedOut(loose())),
  disableHotplug: Type.Optional(Type.Boolean({ description: 'True: disks come and leave with a restart only.' })),
  disks: Type.Optional(Type.Array(diskSchema)),
  downwardMetrics: Type.Optional(notCarriedOut(loose())),
  filesystems: Type.Optional(notCarriedOut(parts.filesystems)),
  gpus: Type.Optional(refused(parts.gpus, noDevices)),
  hostDevices: Type.Optional(refused(parts.hostDevices, noDevices)),
  inputs: Type.Optional(Type.Array(hardware.inputSchema)),
  logSerialConsole: Type.Optional(notCarriedOut(Type.Boolean(), 'the serial console is logged always', [true])),
  panicDevices: Type.Optional(notCarriedOut(parts.panicDevices)),
  rng: Type.Optional(noEffect(loose(), 'every guest has a random number generator')),
  sound: Type.Optional(hardware.soundSchema),
  tpm: Type.Optional(hardware.tpmSchema),
  useVirtioTransitional: Type.Optional(notCarriedOut(Type.Boolean(), '', [false])),
  video: Type.Optional(hardware.videoSchema),
  watchdog: Type.Optional(hardware.watchdogSchema),
})

const kernelBoot = Type.Object({
  kernelArgs: Type.Optional(Type.String()),
  container: Type.Optional(
    Type.Object({
      image: Type.String({
        description: 'Name of an image made by `patchbay image import` or `patchbay image build-demo`.',
      }),
      kernelPath: Type.Optional(Type.String()),
      initrdPath: Type.Optional(Type.String()),
      imagePullPolicy: Type.Optional(noEffect(Type.String(), 'images are imported, not pulled')),
      imagePullSecret: Type.Optional(noEffect(Type.String(), 'images are imported, not pulled')),
    }),
  ),
})

const domain = Type.Object({
  cpu: Type.Optional(
    Type.Object({
      cores: Type.Optional(Type.Integer({ minimum: 1 })),
      sockets: Type.Optional(Type.Integer({ minimum: 1 })),
      threads: Type.Optional(Type.Integer({ minimum: 1 })),
      model: Type.Optional(
        Type.String({
          description:
            'host-model, host-passthrough or a model of libvirt; without KVM the first two mean what it can do.',
        }),
      ),
      maxSockets: Type.Optional(notCarriedOut(Type.Integer({ minimum: 1 }), 'CPUs are not hot plugged')),
      features: Type.Optional(hardware.cpuFeaturesSchema),
      dedicatedCpuPlacement: Type.Optional(notCarriedOut(Type.Boolean(), 'CPUs are shared', [false])),
      isolateEmulatorThread: Type.Optional(notCarriedOut(Type.Boolean(), '', [false])),
      numa: Type.Optional(notCarriedOut(parts.numa)),
      realtime: Type.Optional(notCarriedOut(parts.realtime)),
    }),
  ),
  memory: Type.Optional(
    Type.Object({
      guest: Type.Optional(quantity('Memory the guest sees, such as 128Mi.', { minimum: 0 })),
      maxGuest: Type.Optional(
        notCarriedOut(
          quantity('Most memory the guest may be given while it runs.', { minimum: 0 }),
          'memory is not hot plugged',
        ),
      ),
      hugepages: Type.Optional(notCarriedOut(parts.hugepages)),
      reservedOverhead: Type.Optional(notCarriedOut(parts.reservedOverhead)),
    }),
  ),
  resources: Type.Optional(
    Type.Object({
      requests: Type.Optional(mapOf(quantity('Requested amount.', { minimum: 0 }))),
      limits: Type.Optional(mapOf(quantity('Most that may be used.', { minimum: 0 }))),
      overcommitGuestOverhead: Type.Optional(notCarriedOut(Type.Boolean(), '', [false])),
    }),
  ),
  machine: Type.Optional(
    Type.Object({
      type: Type.Optional(Type.String({ description: 'q35, the default, or a version of it: pc-q35-7.2.' })),
    }),
  ),
  firmware: Type.Optional(
    Type.Object({
      uuid: Type.Optional(Type.String()),
      serial: Type.Optional(Type.String({ description: 'Serial number of the system.' })),
      bootloader: Type.Optional(hardware.bootloaderSchema),
      acpi: Type.Optional(notCarriedOut(parts.firmwareAcpi)),
      kernelBoot: Type.Optional(kernelBoot),
    }),
  ),
  features: Type.Optional(hardware.featuresSchema),
  clock: Type.Optional(hardware.clockSchema),
  chassis: Type.Optional(hardware.chassisSchema),
  ioThreadsPolicy: Type.Optional(notCarriedOut(Type.String())),
  ioThreads: Type.Optional(notCarriedOut(parts.ioThreads)),
  launchSecurity: Type.Optional(notCarriedOut(parts.launchSecurity, 'the memory of guests is not encrypted')),
  rebootPolicy: Type.Optional(notCarriedOut(Type.String(), 'a reboot keeps the instance', ['Reboot'])),
  devices,
})

const dnsConfig = Type.Object(
  {
    nameservers: Type.Optional(Type.Array(Type.String())),
    searches: Type.Optional(Type.Array(Type.String())),
    options: Type.Optional(
      noEffect(
        Type.Array(Type.Object({ name: Type.Optional(Type.String()), value: Type.Optional(Type.String()) })),
        'DHCP has no option for them, in KubeVirt neither',
      ),
    ),
  },
  { description: 'Where the guest is told to look names up.' },
)

/** The specification of a running VM; also `spec.template.spec` of a VirtualMachine. */
export const vmiSpecSchema = Type.Object({
  domain,
  networks: Type.Optional(listMap(networkSchema, 'name', { maxItems: maxInterfaces })),
  volumes: Type.Optional(Type.Array(volumeSchema)),
  utilityVolumes: Type.Optional(notCarriedOut(parts.utilityVolumes)),
  terminationGracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
  nodeSelector: Type.Optional(stringMap),
  affinity: Type.Optional(affinitySchema),
  tolerations: Type.Optional(tolerationsSchema),
  topologySpreadConstraints: Type.Optional(notCarriedOut(parts.topologySpreadConstraints)),
  priorityClassName: Type.Optional(noEffect(Type.String(), 'no instance makes room for another')),
  schedulerName: Type.Optional(noEffect(Type.String(), 'there is one scheduler')),
  serviceAccountName: Type.Optional(noEffect(Type.String(), 'nothing in a sandbox calls the API')),
  architecture: Type.Optional(Type.String({ description: 'Label kubernetes.io/arch of the nodes it may run on.' })),
  evictionStrategy: Type.Optional(
    oneOf(
      ['None', 'LiveMigrate', 'LiveMigrateIfPossible', 'External'],
      'What becomes of the instance when its node is drained: it is shut down (None), or moved.',
    ),
  ),
  startStrategy: Type.Optional(Type.String()),
  hostname: Type.Optional(
    Type.String({ description: 'What the guest is told to be called; the name of the instance when absent.' }),
  ),
  subdomain: Type.Optional(
    Type.String({ description: 'Comes before NAMESPACE.svc.cluster.local in the domain the guest is told.' }),
  ),
  dnsPolicy: Type.Optional(
    Type.String({
      description: "None: the guest is told of the name servers in dnsConfig only, else of the host's before them.",
    }),
  ),
  dnsConfig: Type.Optional(dnsConfig),
  livenessProbe: Type.Optional(probeSchema),
  readinessProbe: Type.Optional(probeSchema),
  accessCredentials: Type.Optional(hardware.accessCredentialsSchema),
  resourceClaims: Type.Optional(
    notCarriedOut(
      Type.Array(
        Type.Object({
          name: Type.String(),
          resourceClaimName: Type.Optional(Type.String()),
          resourceClaimTemplateName: Type.Optional(Type.String()),
        }),
      ),
    ),
  ),
})
export type VmiSpec = Of<typeof vmiSpecSchema>

/** Phases of a VMI in the order KubeVirt goes through them. */
const vmiPhases = ['Pending', 'Scheduling', 'Scheduled', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const
export type VmiPhase = (typeof vmiPhases)[number]

const vmiStatusSchema = Type.Object({
  phase: Type.Optional(oneOf(vmiPhases)),
  reason: Type.Optional(Type.String()),
  phaseTransitionTimestamps: Type.Optional(
    Type.Array(Type.Object({ phase: Type.String(), phaseTransitionTimestamp: time })),
  ),
  nodeName: Type.Optional(Type.String()),
  evacuationNodeName: Type.Optional(
    Type.String({ description: 'The node that the instance is to leave, because its eviction was asked for.' }),
  ),
  activePods: Type.Optional(stringMap),
  conditions: Type.Optional(conditions),
  interfaces: Type.Optional(listMap(interfaceStatusSchema, 'name')),
  guestOSInfo: Type.Optional(guestOsInfoSchema),
  guestAgent: Type.Optional(guestAgentSchema),
  pciPorts: Type.Optional(pciPortsSchema),
  volumeStatus: Type.Optional(Type.Array(volumeStatusSchema)),
  powerRequests: Type.Optional(Type.Array(powerRequestSchema)),
  qosClass: Type.Optional(Type.String()),
  machine: Type.Optional(loose()),
  migrationState: Type.Optional(migrationStateSchema),
  migrationMethod: Type.Optional(Type.String()),
  migrationTransport: Type.Optional(Type.String()),
  runtimeUser: Type.Optional(Type.Integer()),
  virtualMachineRevisionName: Type.Optional(Type.String()),
})
export type VmiStatus = Of<typeof vmiStatusSchema>

/** A running virtual machine: written only by the controllers and the node's agent. */
export type VirtualMachineInstance = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: VmiSpec
  status?: VmiStatus
}>

export const VirtualMachineInstance: Kind<VirtualMachineInstance> = {
  group: 'kubevirt.io',
  version: 'v1',
  kind: 'VirtualMachineInstance',
  plural: 'virtualmachineinstances',
  singular: 'virtualmachineinstance',
  shortNames: ['vmi', 'vmis'],
  categories: ['all'],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
    { name: 'Phase', type: 'string', path: 'status.phase' },
    { name: 'IP', type: 'string', path: 'status.interfaces.0.ipAddress' },
    { name: 'NodeName', type: 'string', path: 'status.nodeName' },
    { name: 'Ready', type: 'string', path: 'status.conditions', condition: 'Ready' },
    { name: 'Live-Migratable', type: 'string', path: 'status.conditions', condition: 'LiveMigratable', wide: true },
    { name: 'Paused', type: 'string', path: 'status.conditions', condition: 'Paused', wide: true },
  ],
  schema: objectSchema(
    { spec: vmiSpecSchema, status: Type.Optional(withFields(vmiStatusSchema, vmiStatusFields)) },
    'A virtual machine that runs, or is about to.',
  ),
}
