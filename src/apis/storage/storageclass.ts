import { Type } from 'typebox'
import { noEffect } from '../meta/fate.ts'
import type { ClusterMeta, Kind } from '../meta/object.ts'
import { loose, type Of, objectSchema, stringMap } from '../meta/schema.ts'

const fields = {
  provisioner: Type.String({ description: 'Who makes the volumes of this class.' }),
  parameters: Type.Optional(stringMap),
  reclaimPolicy: Type.Optional(Type.String({ description: 'Delete: the volume goes with its claim.' })),
  volumeBindingMode: Type.Optional(Type.String({ description: 'Immediate: a claim is bound as soon as it is made.' })),
  allowVolumeExpansion: Type.Optional(Type.Boolean({ description: 'Whether claims may grow.' })),
  mountOptions: Type.Optional(noEffect(Type.Array(Type.String()), 'volumes are files, which are not mounted')),
  allowedTopologies: Type.Optional(Type.Array(loose())),
}
const storageClassSchema = Type.Object(fields)

/** A class of storage that claims name. */
export type StorageClass = Readonly<{ apiVersion: string; kind: string; metadata: ClusterMeta }> &
  Of<typeof storageClassSchema>

export const StorageClass: Kind<StorageClass> = {
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  plural: 'storageclasses',
  singular: 'storageclass',
  shortNames: ['sc'],
  categories: [],
  namespaced: false,
  status: false,
  columns: [
    { name: 'Provisioner', type: 'string', path: 'provisioner' },
    { name: 'ReclaimPolicy', type: 'string', path: 'reclaimPolicy' },
    { name: 'VolumeBindingMode', type: 'string', path: 'volumeBindingMode' },
    { name: 'AllowVolumeExpansion', type: 'boolean', path: 'allowVolumeExpansion' },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema(fields, 'A class of storage that claims name.'),
}
