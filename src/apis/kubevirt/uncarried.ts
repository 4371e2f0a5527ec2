import { listOf, map, objectOf, type Shape } from '../meta/shape.ts'

/**
 * Parts of KubeVirt's v1 API that are known and not carried out yet: their field names and types (facts/disks.md §A, KubeVirt's
 * schema.go and types.go). What is carried out moves from here to a schema with types and descriptions of its own.
 */

/** A reference to an object by its name. */
export const named = { name: 'string' } as const satisfies Shape

const expressions: Shape = [{ 'key!': 'string', 'operator!': 'string', values: ['string'] }]
const labelSelector = { matchLabels: map('string'), matchExpressions: expressions } as const satisfies Shape
const nodeTerm: Shape = { matchExpressions: expressions, matchFields: expressions }
const podTerm: Shape = {
  labelSelector,
  namespaceSelector: labelSelector,
  namespaces: ['string'],
  'topologyKey!': 'string',
  matchLabelKeys: ['string'],
  mismatchLabelKeys: ['string'],
}
export const labelSelectorSchema = objectOf(labelSelector)

/** Affinities that are preferred only. */
export const preferredPods = listOf({ podAffinityTerm: podTerm, 'weight!': 'integer' })
export const preferredNodes = listOf({ preference: nodeTerm, 'weight!': 'integer' })

export const topologySpreadConstraints = listOf({
  'maxSkew!': 'integer',
  'topologyKey!': 'string',
  'whenUnsatisfiable!': 'string',
  labelSelector,
  matchLabelKeys: ['string'],
  minDomains: 'integer',
  nodeAffinityPolicy: 'string',
  nodeTaintsPolicy: 'string',
})

/** A PersistentVolumeClaim as a volume. */
export const claim = { 'claimName!': 'string', readOnly: 'boolean', hotpluggable: 'boolean' } as const satisfies Shape

/** Volumes that are attached for one purpose while the guest runs. */
export const utilityVolumes = listOf({ ...claim, 'name!': 'string', type: 'string' })

const target: Shape = { bus: 'string', readonly: 'boolean', pciAddress: 'string' }

/** One disk. */
export const disk = {
  'name!': 'string',
  disk: target,
  lun: { bus: 'string', readonly: 'boolean', reservation: 'boolean' },
  cdrom: { bus: 'string', readonly: 'boolean', tray: 'string' },
  bootOrder: 'integer',
  serial: 'string',
  dedicatedIOThread: 'boolean',
  cache: 'string',
  io: 'string',
  tag: 'string',
  blockSize: {
    custom: { 'logical!': 'integer', 'physical!': 'integer', discardGranularity: 'integer' },
    matchVolume: { enabled: 'boolean' },
  },
  shareable: 'boolean',
  errorPolicy: 'string',
  changedBlockTracking: 'boolean',
} as const satisfies Shape

export const filesystems = listOf({ 'name!': 'string', virtiofs: {} })

const hostDevice = {
  'name!': 'string',
  deviceName: 'string',
  claimName: 'string',
  requestName: 'string',
  tag: 'string',
} as const satisfies Shape
export const hostDevices = listOf(hostDevice)
export const gpus = listOf({
  ...hostDevice,
  virtualGPUOptions: { display: { enabled: 'boolean', ramFB: { enabled: 'boolean' } } },
})

export const panicDevices = listOf({ model: 'string' })

export const firmwareAcpi = objectOf({ slicNameRef: 'string', msdmNameRef: 'string' })

export const launchSecurity = objectOf({
  sev: {
    policy: { encryptedState: 'boolean' },
    attestation: {},
    session: 'string',
    dhCert: 'string',
  },
  snp: {},
  tdx: {},
})

export const numa = objectOf({ guestMappingPassthrough: {} })
export const realtime = objectOf({ mask: 'string' })
export const hugepages = objectOf({ pageSize: 'string' })
export const reservedOverhead = objectOf({ addedOverhead: 'quantity', memLock: 'string' })
export const ioThreads = objectOf({ supplementalPoolThreadCount: 'integer' })
