import { Type } from 'typebox'
import { claimSpecFields, claimSpecSchema } from '../core/persistentvolumeclaim.ts'
import { noEffect, notCarriedOut, refused } from '../meta/fate.ts'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { conditions, loose, type Of, objectSchema, stringMap } from '../meta/schema.ts'
import { objectOf } from '../meta/shape.ts'

const instead = 'use http, registry, pvc, upload or blank'

const certConfigMap = Type.Optional(
  Type.String({ description: 'ConfigMap whose keys are certificates (PEM) of authorities to trust.' }),
)

const httpSource = Type.Object({
  url: Type.String({ description: 'Where the disk image is: http or https.' }),
  checksum: Type.Optional(
    Type.String({
      description: 'Of the bytes that are downloaded: md5, sha1, sha256 or sha512, a colon, hexadecimal.',
    }),
  ),
  secretRef: Type.Optional(Type.String({ description: 'Secret with the keys accessKeyId and secretKey.' })),
  certConfigMap,
  extraHeaders: Type.Optional(Type.Array(Type.String({ description: 'A header of each request, NAME: VALUE.' }))),
  secretExtraHeaders: Type.Optional(
    Type.Array(Type.String({ description: 'A Secret whose keys are such headers each.' })),
  ),
})

const registrySource = Type.Object({
  url: Type.Optional(Type.String({ description: 'A container disk: docker:// and its reference.' })),
  imageStream: Type.Optional(refused(Type.String(), 'there are no image streams; use url')),
  pullMethod: Type.Optional(noEffect(Type.String(), 'the agent pulls in every case')),
  secretRef: Type.Optional(
    Type.String({ description: 'Secret of type kubernetes.io/dockerconfigjson, or with accessKeyId and secretKey.' }),
  ),
  certConfigMap,
  platform: Type.Optional(noEffect(objectOf({ architecture: 'string' }), 'it is that of the host')),
})

/** A claim to copy. */
export const claimSourceSchema = Type.Object({
  namespace: Type.Optional(Type.String({ description: 'That of the object itself when absent.' })),
  name: Type.String(),
})

const sourceSchema = Type.Object({
  http: Type.Optional(httpSource),
  registry: Type.Optional(registrySource),
  pvc: Type.Optional(claimSourceSchema),
  blank: Type.Optional(loose('An empty disk.')),
  upload: Type.Optional(loose('A disk that is uploaded: patchbay image upload.')),
  s3: Type.Optional(refused(loose(), instead)),
  gcs: Type.Optional(refused(loose(), instead)),
  imageio: Type.Optional(refused(loose(), instead)),
  vddk: Type.Optional(refused(loose(), instead)),
  snapshot: Type.Optional(refused(loose(), 'there are no snapshots; use pvc')),
})
export type DataVolumeSource = Of<typeof sourceSchema>

const dataVolumeSpecSchema = Type.Object({
  source: Type.Optional(sourceSchema),
  sourceRef: Type.Optional(
    Type.Object({
      kind: Type.String({ description: 'DataSource.' }),
      namespace: Type.Optional(Type.String({ description: 'That of the DataVolume when absent.' })),
      name: Type.String(),
    }),
  ),
  pvc: Type.Optional(claimSpecSchema),
  storage: Type.Optional(Type.Object(claimSpecFields)),
  contentType: Type.Optional(Type.String({ description: 'kubevirt; archive is refused.' })),
  checkpoints: Type.Optional(refused(Type.Array(loose()), 'disks are imported as a whole')),
  finalCheckpoint: Type.Optional(notCarriedOut(Type.Boolean(), 'disks are imported as a whole', [false])),
  preallocation: Type.Optional(notCarriedOut(Type.Boolean(), 'files of disks are sparse', [false])),
  priorityClassName: Type.Optional(noEffect(Type.String(), 'there are no pods that import')),
})
export type DataVolumeSpec = Of<typeof dataVolumeSpecSchema>

/** Phases of a DataVolume that occur here (CDI has more). */
export type DataVolumePhase =
  | 'Pending'
  | 'ImportScheduled'
  | 'ImportInProgress'
  | 'CloneScheduled'
  | 'CloneInProgress'
  | 'UploadScheduled'
  | 'UploadReady'
  | 'Succeeded'
  | 'Failed'

const dataVolumeStatusSchema = Type.Object({
  claimName: Type.Optional(Type.String()),
  phase: Type.Optional(Type.String()),
  source: Type.Optional(
    Type.Object({ pvc: Type.Optional(claimSourceSchema) }, { description: 'What sourceRef led to.' }),
  ),
  progress: Type.Optional(Type.String({ description: 'A percentage such as 12.34%, or N/A.' })),
  restartCount: Type.Optional(Type.Integer({ description: 'How often the import was tried again.' })),
  conditions: Type.Optional(conditions),
})
export type DataVolumeStatus = Of<typeof dataVolumeStatusSchema>

/** A claim, and what is to be on its disk. */
export type DataVolume = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: DataVolumeSpec
  status?: DataVolumeStatus
}>

/** A DataVolume that each VM has for itself. */
export const dataVolumeTemplateSchema = Type.Object({
  apiVersion: Type.Optional(Type.String()),
  kind: Type.Optional(Type.String()),
  metadata: Type.Optional(
    Type.Unsafe<
      Readonly<{
        name?: string
        namespace?: string
        labels?: Record<string, string>
        annotations?: Record<string, string>
      }>
    >({
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
      properties: { name: Type.String(), namespace: Type.String(), labels: stringMap, annotations: stringMap },
    }),
  ),
  spec: dataVolumeSpecSchema,
  status: Type.Optional(noEffect(loose(), 'a template has no status')),
})
export type DataVolumeTemplate = Of<typeof dataVolumeTemplateSchema>

export const DataVolume: Kind<DataVolume> = {
  group: 'cdi.kubevirt.io',
  version: 'v1beta1',
  kind: 'DataVolume',
  plural: 'datavolumes',
  singular: 'datavolume',
  shortNames: ['dv', 'dvs'],
  categories: ['all'],
  namespaced: true,
  status: true,
  columns: [
    { name: 'Phase', type: 'string', path: 'status.phase' },
    { name: 'Progress', type: 'string', path: 'status.progress' },
    { name: 'Restarts', type: 'integer', path: 'status.restartCount' },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema(
    { spec: dataVolumeSpecSchema, status: Type.Optional(dataVolumeStatusSchema) },
    'A claim, and what is to be on its disk.',
  ),
}
