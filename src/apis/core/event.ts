import { Type } from 'typebox'
import type { Kind, ObjectMeta } from '../meta/object.ts'
import { type Of, objectSchema, oneOf } from '../meta/schema.ts'

const reference = Type.Object({
  apiVersion: Type.Optional(Type.String()),
  kind: Type.Optional(Type.String()),
  namespace: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  uid: Type.Optional(Type.String()),
  resourceVersion: Type.Optional(Type.String()),
  fieldPath: Type.Optional(Type.String()),
})

const eventFields = {
  involvedObject: reference,
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  type: Type.Optional(oneOf(['Normal', 'Warning'])),
  count: Type.Optional(Type.Integer()),
  firstTimestamp: Type.Optional(Type.Unsafe<string | null>({ type: 'string', nullable: true })),
  lastTimestamp: Type.Optional(Type.Unsafe<string | null>({ type: 'string', nullable: true })),
  eventTime: Type.Optional(Type.Unsafe<string | null>({ type: 'string', nullable: true })),
  source: Type.Optional(Type.Object({ component: Type.Optional(Type.String()), host: Type.Optional(Type.String()) })),
  action: Type.Optional(Type.String()),
  reportingComponent: Type.Optional(Type.String()),
  reportingInstance: Type.Optional(Type.String()),
}
const eventSchema = Type.Object(eventFields)

/** Something that happened to an object, told to its owner. */
export type Event = Readonly<{ apiVersion: string; kind: string; metadata: ObjectMeta }> & Of<typeof eventSchema>

export const Event: Kind<Event> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  categories: [],
  namespaced: true,
  status: false,
  columns: [
    { name: 'Last Seen', type: 'date', path: 'lastTimestamp' },
    { name: 'Type', type: 'string', path: 'type' },
    { name: 'Reason', type: 'string', path: 'reason' },
    {
      name: 'Object',
      type: 'string',
      path: 'involvedObject',
      cell: (event) => {
        const { kind, name } = event.involvedObject as { kind?: string; name?: string }
        return `${(kind ?? '').toLowerCase()}/${name ?? ''}`
      },
    },
    { name: 'Message', type: 'string', path: 'message' },
    { name: 'Name', type: 'string', path: 'metadata.name', wide: true },
  ],
  schema: objectSchema(eventFields, 'Something that happened to an object.'),
}
