import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { nullableMicroTime, type Of, objectSchema } from '../meta/schema.ts'

const leaseSpecSchema = Type.Object({
  holderIdentity: Type.Optional(Type.String()),
  leaseDurationSeconds: Type.Optional(Type.Integer({ minimum: 1 })),
  acquireTime: Type.Optional(nullableMicroTime),
  renewTime: Type.Optional(nullableMicroTime),
  leaseTransitions: Type.Optional(Type.Integer({ minimum: 0 })),
  strategy: Type.Optional(Type.String()),
  preferredHolder: Type.Optional(Type.String()),
})

/** The holder of something that only one may have, and how long it holds it without renewal. */
export type Lease = Readonly<{
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec?: Of<typeof leaseSpecSchema>
}>

export const Lease: Kind<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  singular: 'lease',
  shortNames: [],
  categories: [],
  namespaced: true,
  status: false,
  columns: [
    { name: 'Holder', type: 'string', path: 'spec.holderIdentity' },
    { name: 'Age', type: 'date', path: 'metadata.creationTimestamp' },
  ],
  schema: objectSchema({ spec: Type.Optional(leaseSpecSchema) }, 'Who holds something only one may have.'),
}
