import { Type } from 'typebox'
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
import { guestAgentSchema, guestOsInfoSchema, pciPortsSchema, powerRequestSchema } from './guest.ts'
import { interfaceSchema, interfaceStatusSchema, networkSchema } from './interface.ts'
import { migrationStateSchema } from './migration.ts'
import { probeSchema } from './probe.ts'

/** Most interfaces and networks one VM may have (KubeVirt's limit). */
const maxInterfaces = 256

const devices = Type.Object({
  interfaces: Type.Optional(listMap(interfaceSchema, 'name', { maxItems: maxInterfaces })),
  networkInterfaceMultiqueue: Type.Optional(Type.Boolean()),
  autoattachPodInterface: Type.Optional(Type.Boolean()),
  autoattachSerialConsole: Type.Optional(Type.Boolean()),
  autoattachGraphicsDevice: Type.Optional(Type.Boolean()),
  autoattachMemBalloon: Type.Optional(Type.Boolean()),
  disks: Type.Optional(Type.Array(loose())),
  inputs: Type.Optional(Type.Array(loose())),
  rng: Type.Optional(loose()),
  watchdog: Type.Optional(loose()),
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
      imagePullPolicy: Type.Optional(Type.String()),
      imagePullSecret: Type.Optional(Type.String()),
    }),
  ),
})

const domain = Type.Object({
  cpu: Type.Optional(
    Type.Object({
      cores: Type.Optional(Type.Integer({ minimum: 1 })),
      sockets: Type.Optional(Type.Integer({ minimum: 1 })),
      threads: Type.Optional(Type.Integer({ minimum: 1 })),
      model: Type.Optional(Type.String()),
      maxSockets: Type.Optional(Type.Integer({ minimum: 1 })),
      features: Type.Optional(Type.Array(loose())),
    }),
  ),
  memory: Type.Optional(
    Type.Object({
      guest: Type.Optional(quantity('Memory the guest sees, such as 128Mi.', { minimum: 0 })),
      maxGuest: Type.Optional(quantity('Most memory the guest may be given while it runs.', { minimum: 0 })),
      hugepages: Type.Optional(loose()),
    }),
  ),
  resources: Type.Optional(
    Type.Object({
      requests: Type.Optional(mapOf(quantity('Requested amount.', { minimum: 0 }))),
      limits: Type.Optional(mapOf(quantity('Most that may be used.', { minimum: 0 }))),
      overcommitGuestOverhead: Type.Optional(Type.Boolean()),
    }),
  ),
  machine: Type.Optional(Type.Object({ type: Type.Optional(Type.String()) })),
  firmware: Type.Optional(
    Type.Object({
      uuid: Type.Optional(Type.String()),
      serial: Type.Optional(Type.String()),
      bootloader: Type.Optional(loose()),
      kernelBoot: Type.Optional(kernelBoot),
    }),
  ),
  features: Type.Optional(loose()),
  clock: Type.Optional(loose()),
  chassis: Type.Optional(loose()),
  ioThreadsPolicy: Type.Optional(Type.String()),
  devices,
})

const dnsConfig = Type.Object(
  {
    nameservers: Type.Optional(Type.Array(Type.String())),
    searches: Type.Optional(Type.Array(Type.String())),
    options: Type.Optional(
      Type.Array(Type.Object({ name: Type.Optional(Type.String()), value: Type.Optional(Type.String()) }), {
        description: 'Kept and not carried out: DHCP has no option for them, in KubeVirt neither.',
      }),
    ),
  },
  { description: 'Where the guest is told to look names up.' },
)

/** The specification of a running VM; also `spec.template.spec` of a VirtualMachine. */
export const vmiSpecSchema = Type.Object({
  domain,
  networks: Type.Optional(listMap(networkSchema, 'name', { maxItems: maxInterfaces })),
  volumes: Type.Optional(Type.Array(loose())),
  terminationGracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
  nodeSelector: Type.Optional(stringMap),
  affinity: Type.Optional(loose()),
  tolerations: Type.Optional(Type.Array(loose())),
  topologySpreadConstraints: Type.Optional(Type.Array(loose())),
  priorityClassName: Type.Optional(Type.String()),
  schedulerName: Type.Optional(Type.String()),
  architecture: Type.Optional(Type.String()),
  evictionStrategy: Type.Optional(Type.String()),
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
  accessCredentials: Type.Optional(Type.Array(loose())),
  resourceClaims: Type.Optional(
    Type.Array(
      Type.Object({
        name: Type.String(),
        resourceClaimName: Type.Optional(Type.String()),
        resourceClaimTemplateName: Type.Optional(Type.String()),
      }),
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
  activePods: Type.Optional(stringMap),
  conditions: Type.Optional(conditions),
  interfaces: Type.Optional(listMap(interfaceStatusSchema, 'name')),
  guestOSInfo: Type.Optional(guestOsInfoSchema),
  guestAgent: Type.Optional(guestAgentSchema),
  pciPorts: Type.Optional(pciPortsSchema),
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

/** A running virtual machine: written by the controllers and the node agent, read by everybody. */
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
    { spec: vmiSpecSchema, status: Type.Optional(vmiStatusSchema) },
    'A virtual machine that runs, or is about to.',
  ),
}
