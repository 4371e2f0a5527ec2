import { Type } from 'typebox'
import { noEffect, notCarriedOut, refused } from '../meta/fate.ts'
import { amounts, type Of, quantity } from '../meta/schema.ts'
import { withFields } from '../meta/shape.ts'

/** Buses of disks that KubeVirt accepts. */
export const diskBuses = ['virtio', 'scsi', 'sata', 'usb'] as const
export type DiskBus = (typeof diskBuses)[number]

const bus = Type.Optional(Type.String({ description: `Bus, one of ${diskBuses.join(', ')}; sata when absent.` }))
const readonly = Type.Optional(Type.Boolean())

/** One disk of a VM (facts/disks.md §A). */
export const diskSchema = Type.Object(
  {
    name: Type.String({ description: 'Name of the disk; must be the name of one of the volumes.' }),
    disk: Type.Optional(Type.Object({ bus, readonly, pciAddress: Type.Optional(Type.String()) })),
    cdrom: Type.Optional(
      Type.Object({
        bus,
        readonly: Type.Optional(Type.Boolean({ description: 'True when absent.' })),
        tray: Type.Optional(Type.String({ description: 'State of the tray at the start: open or closed.' })),
      }),
    ),
    lun: Type.Optional(
      refused(
        Type.Object({ bus, readonly, reservation: Type.Optional(Type.Boolean()) }),
        'there are no block devices to pass through; use disk',
      ),
    ),
    bootOrder: Type.Optional(Type.Integer({ description: 'Position in the boot order of the firmware, from 1.' })),
    serial: Type.Optional(Type.String({ description: 'Serial number that the guest sees.' })),
    dedicatedIOThread: Type.Optional(notCarriedOut(Type.Boolean(), 'QEMU has one thread for disks', [false])),
    cache: Type.Optional(Type.String({ description: 'Cache mode: none, writethrough or writeback.' })),
    io: Type.Optional(Type.String({ description: 'How QEMU reads and writes: native or threads.' })),
    tag: Type.Optional(Type.String({ description: 'Told to the guest in the metadata of its config drive.' })),
    blockSize: Type.Optional(
      Type.Object({
        custom: Type.Optional(
          Type.Object({
            logical: Type.Integer(),
            physical: Type.Integer(),
            discardGranularity: Type.Optional(notCarriedOut(Type.Integer())),
          }),
        ),
        matchVolume: Type.Optional(
          noEffect(Type.Object({ enabled: Type.Optional(Type.Boolean()) }), 'volumes are files, without a block size'),
        ),
      }),
    ),
    shareable: Type.Optional(Type.Boolean({ description: 'Several guests may use it at once.' })),
    errorPolicy: Type.Optional(
      Type.String({ description: 'What happens on an I/O error: stop (default), ignore, report or enospace.' }),
    ),
    changedBlockTracking: Type.Optional(notCarriedOut(Type.Boolean(), 'there are no incremental backups', [false])),
  },
  { description: 'A disk or CD-ROM of the virtual machine.' },
)
export type Disk = Of<typeof diskSchema>

const named = (description: string) => Type.Object({ name: Type.Optional(Type.String()) }, { description })

const cloudInit = Type.Object({
  secretRef: Type.Optional(named('Secret with the user data under userdata or userData.')),
  userDataBase64: Type.Optional(Type.String()),
  userData: Type.Optional(Type.String()),
  networkDataSecretRef: Type.Optional(named('Secret with the network data under networkdata or networkData.')),
  networkDataBase64: Type.Optional(Type.String()),
  networkData: Type.Optional(Type.String()),
})
export type CloudInit = Of<typeof cloudInit>

const hotpluggable = Type.Optional(
  Type.Boolean({ description: 'It may come to a running guest and leave it; its disk is on bus scsi or virtio.' }),
)

const claim = Type.Object({
  claimName: Type.String(),
  readOnly: Type.Optional(Type.Boolean()),
  hotpluggable,
})

const optional = Type.Optional(Type.Boolean({ description: 'The guest starts without it.' }))
const volumeLabel = Type.Optional(Type.String({ description: 'Label of the disk; cfgdata when absent.' }))

const downwardApi = Type.Object({
  fields: Type.Optional(
    Type.Array(
      Type.Object({
        path: Type.String(),
        mode: Type.Optional(noEffect(Type.Integer(), 'the disk has no modes')),
        fieldRef: Type.Optional(Type.Object({ apiVersion: Type.Optional(Type.String()), fieldPath: Type.String() })),
        resourceFieldRef: Type.Optional(
          notCarriedOut(
            Type.Object({
              containerName: Type.Optional(Type.String()),
              resource: Type.String(),
              divisor: Type.Optional(quantity('Unit of the value.')),
            }),
            'a guest has no containers',
          ),
        ),
      }),
    ),
  ),
  volumeLabel,
})

/** What a disk contains (facts/disks.md §A4). */
export const volumeSchema = Type.Object(
  {
    name: Type.String(),
    containerDisk: Type.Optional(
      Type.Object({
        image: Type.String({
          description: 'Name of an imported image, or reference of a container disk in a registry.',
        }),
        imagePullPolicy: Type.Optional(Type.String({ description: 'Always, IfNotPresent or Never.' })),
        imagePullSecret: Type.Optional(
          Type.String({ description: 'Secret of type kubernetes.io/dockerconfigjson with the credentials.' }),
        ),
        path: Type.Optional(
          Type.String({ description: "The disk's file in the image; the only one below /disk when absent." }),
        ),
      }),
    ),
    cloudInitNoCloud: Type.Optional(cloudInit),
    cloudInitConfigDrive: Type.Optional(cloudInit),
    persistentVolumeClaim: Type.Optional(claim),
    dataVolume: Type.Optional(
      Type.Object({
        name: Type.String(),
        hotpluggable,
      }),
    ),
    ephemeral: Type.Optional(
      Type.Object({
        persistentVolumeClaim: Type.Optional(
          Type.Object({ claimName: Type.String(), readOnly: Type.Optional(Type.Boolean()) }),
        ),
      }),
    ),
    emptyDisk: Type.Optional(Type.Object({ capacity: quantity('Size of the disk.', { minimum: 0 }) })),
    hostDisk: Type.Optional(
      Type.Object({
        path: Type.String({ description: 'File on the host, in one of the folders that --host-disk-dir allows.' }),
        type: Type.String({ description: 'Disk: the file exists; DiskOrCreate: it is made if it does not.' }),
        capacity: Type.Optional(quantity('Size of a file that is made.', { minimum: 0 })),
        shared: Type.Optional(Type.Boolean({ description: 'The file is the same on all nodes.' })),
      }),
    ),
    configMap: Type.Optional(Type.Object({ name: Type.Optional(Type.String()), optional, volumeLabel })),
    secret: Type.Optional(Type.Object({ secretName: Type.Optional(Type.String()), optional, volumeLabel })),
    serviceAccount: Type.Optional(
      notCarriedOut(
        Type.Object({ serviceAccountName: Type.Optional(Type.String()) }),
        'no token is made for a guest; put one into a Secret',
      ),
    ),
    downwardAPI: Type.Optional(downwardApi),
    sysprep: Type.Optional(
      Type.Object({
        secret: Type.Optional(named('Secret with autounattend.xml or unattend.xml.')),
        configMap: Type.Optional(named('ConfigMap with autounattend.xml or unattend.xml.')),
      }),
    ),
    downwardMetrics: Type.Optional(notCarriedOut(Type.Object({}))),
    memoryDump: Type.Optional(notCarriedOut(claim, 'the memory of a guest is not dumped')),
  },
  { description: 'A volume of the virtual machine.' },
)
export type Volume = Of<typeof volumeSchema>

/** One element of `status.volumeStatus` (facts/disks.md §A4). */
export const volumeStatusSchema = withFields(
  Type.Object({
    name: Type.String(),
    target: Type.String({ description: 'Name of the disk in the domain, such as vda.' }),
    phase: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
    persistentVolumeClaimInfo: Type.Optional(
      withFields(
        Type.Object({
          claimName: Type.Optional(Type.String()),
          accessModes: Type.Optional(Type.Array(Type.String())),
          capacity: Type.Optional(amounts),
          requests: Type.Optional(amounts),
          volumeMode: Type.Optional(Type.String()),
        }),
        { filesystemOverhead: 'string', preallocated: 'boolean' },
      ),
    ),
    hotplugVolume: Type.Optional(withFields(Type.Object({}), { attachPodName: 'string', attachPodUID: 'string' })),
    containerDiskVolume: Type.Optional(withFields(Type.Object({}), { checksum: 'integer' })),
  }),
  {
    size: 'integer',
    memoryDumpVolume: {
      claimName: 'string',
      targetFileName: 'string',
      startTimestamp: 'time',
      endTimestamp: 'time',
    },
  },
)
