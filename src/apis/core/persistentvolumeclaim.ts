import { Type } from 'typebox'
import { isObject, type JsonObject } from '#base/json.ts'
import { noEffect, notCarriedOut, refused } from '../meta/fate.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { amounts, conditions, loose, type Of, objectSchema } from '../meta/schema.ts'

/** What a claim asks for; a DataVolume has the same. */
export const claimSpecFields = {
  accessModes: Type.Optional(
    Type.Array(Type.String({ description: 'ReadWriteOnce, ReadWriteMany, ReadOnlyMany or ReadWriteOncePod.' })),
  ),
  resources: Type.Optional(
    Type.Object(
      {
        requests: Type.Optional(amounts),
        limits: Type.Optional(noEffect(amounts, 'a disk has one size, that of requests')),
      },
      { description: 'Its size.' },
    ),
  ),
  storageClassName: Type.Optional(Type.String({ description: 'Class of storage; local is the one there is.' })),
  volumeMode: Type.Optional(Type.String({ description: 'Filesystem; Block is refused.' })),
  selector: Type.Optional(refused(loose(), 'volumes are made for their claims; there are none to select')),
  dataSource: Type.Optional(refused(loose(), 'make the claim by a DataVolume with a source')),
  dataSourceRef: Type.Optional(refused(loose(), 'make the claim by a DataVolume with a source')),
  volumeName: Type.Optional(Type.String({ description: 'Name of the volume; written when the claim is bound.' })),
}

/** The same in the form `pvc`, which has all that a claim has. */
export const claimSpecSchema = Type.Object({
  ...claimSpecFields,
  volumeAttributesClassName: Type.Optional(notCarriedOut(Type.String(), 'volumes have no other attributes')),
})
type ClaimSpec = Of<typeof claimSpecSchema>

const claimStatusSchema = Type.Object({
  phase: Type.Optional(Type.String({ description: 'Pending, Bound or Lost.' })),
  accessModes: Type.Optional(Type.Array(Type.String())),
  capacity: Type.Optional(amounts),
  conditions: Type.Optional(conditions),
})

/** A disk that outlives the guests that use it, as its owner asks for it. */
export type PersistentVolumeClaim = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: ClaimSpec
  status?: Of<typeof claimStatusSchema>
}>

const shortModes: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
}

function modesText({ status }: JsonObject): string {
  const modes = isObject(status) && Array.isArray(status.accessModes) ? status.accessModes : []
  return modes.map((mode) => shortModes[String(mode)] ?? String(mode)).join(',')
}

export const PersistentVolumeClaim: Kind<PersistentVolumeClaim> = {
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
  singular: 'persistentvolumeclaim',
  shortNames: ['pvc'],
  categories: [],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Status', type: 'string', path: 'status.phase' },
    { name: 'Volume', type: 'string', path: 'spec.volumeName' },
    { name: 'Capacity', type: 'string', path: 'status.capacity.storage' },
    { name: 'Access Modes', type: 'string', path: 'status.accessModes', cell: modesText },
    { name: 'StorageClass', type: 'string', path: 'spec.storageClassName' },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
    { name: 'VolumeMode', type: 'string', path: 'spec.volumeMode', wide: true },
  ],
  schema: objectSchema(
    { spec: claimSpecSchema, status: Type.Optional(claimStatusSchema) },
    'A disk that outlives the guests that use it.',
  ),
}
