import { map, type Shape } from '../meta/shape.ts'
import { claim, disk, named } from './uncarried.ts'

const claimInfo = {
  claimName: 'string',
  accessModes: ['string'],
  volumeMode: 'string',
  capacity: map('quantity'),
  requests: map('quantity'),
  preallocated: 'boolean',
  filesystemOverhead: 'string',
} as const satisfies Shape
const migratedVolumes = [
  { 'volumeName!': 'string', sourcePVCInfo: claimInfo, destinationPVCInfo: claimInfo },
] as const satisfies Shape
const typeRef = {
  name: 'string',
  kind: 'string',
  controllerRevisionRef: named,
  inferFromVolume: 'string',
  inferFromVolumeFailurePolicy: 'string',
} as const satisfies Shape

/** Fields of a VM's status that are never there. */
export const vmStatusFields = {
  instancetypeRef: typeRef,
  preferenceRef: typeRef,
  memoryDumpRequest: {
    'claimName!': 'string',
    'phase!': 'string',
    remove: 'boolean',
    startTimestamp: 'time',
    endTimestamp: 'time',
    fileName: 'string',
    message: 'string',
  },
  restoreInProgress: 'string',
  snapshotInProgress: 'string',
  volumeRequests: [
    {
      addVolumeOptions: {
        'name!': 'string',
        disk,
        volumeSource: { persistentVolumeClaim: claim, dataVolume: { 'name!': 'string', hotpluggable: 'boolean' } },
        dryRun: ['string'],
      },
      removeVolumeOptions: { 'name!': 'string', dryRun: ['string'] },
    },
  ],
  volumeSnapshotStatuses: [{ 'name!': 'string', 'enabled!': 'boolean', reason: 'string' }],
  volumeUpdateState: { volumeMigrationState: { migratedVolumes } },
} as const satisfies Shape

const deviceStatuses = [
  {
    'name!': 'string',
    deviceResourceClaimStatus: {
      name: 'string',
      resourceClaimName: 'string',
      attributes: { pciAddress: 'string', mDevUUID: 'string' },
    },
  },
] as const satisfies Shape

/** Fields of an instance's status that are never there. */
export const vmiStatusFields = {
  VSOCKCID: 'integer',
  currentCPUTopology: { cores: 'integer', sockets: 'integer', threads: 'integer' },
  deviceStatus: { gpuStatuses: deviceStatuses, hostDeviceStatuses: deviceStatuses },
  fsFreezeStatus: 'string',
  kernelBootStatus: { kernelInfo: { checksum: 'integer' }, initrdInfo: { checksum: 'integer' } },
  launcherContainerImageVersion: 'string',
  memory: { guestAtBoot: 'quantity', guestCurrent: 'quantity', guestRequested: 'quantity' },
  migratedVolumes,
  selinuxContext: 'string',
  topologyHints: { tscFrequency: 'integer' },
} as const satisfies Shape

const migrationEnd = {
  migrationUID: 'string',
  virtualMachineInstanceUID: 'string',
  domainName: 'string',
  domainNamespace: 'string',
  node: 'string',
  pod: 'string',
  persistentStatePVCName: 'string',
  selinuxContext: 'string',
  syncAddress: 'string',
} as const satisfies Shape

/** Fields of the state of a migration that are never there: those of a migration between clusters, and of dedicated CPUs. */
export const migrationStateFields = {
  sourceState: { ...migrationEnd, nodeSelectors: map('string') },
  targetState: {
    ...migrationEnd,
    attachmentPodUID: 'string',
    cpuSet: ['integer'],
    directMigrationNodePorts: map('integer'),
    domainDetected: 'boolean',
    domainReadyTimestamp: 'time',
    nodeAddress: 'string',
    nodeTopology: 'string',
  },
  sourcePersistentStatePVCName: 'string',
  targetPersistentStatePVCName: 'string',
  targetCPUSet: ['integer'],
  targetDirectMigrationNodePorts: map('integer'),
  targetNodeTopology: 'string',
} as const satisfies Shape
