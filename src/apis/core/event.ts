import { Type } from 'typebox'
import type { Column, Kind, ObjectMeta } from '../meta/object.ts'
import { microTime, nullableMicroTime, nullableTime, type Of, objectSchema, oneOf } from '../meta/schema.ts'

const reference = Type.Object({
  apiVersion: Type.Optional(Type.String()),
  kind: Type.Optional(Type.String()),
  namespace: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  uid: Type.Optional(Type.String()),
  resourceVersion: Type.Optional(Type.String()),
  fieldPath: Type.Optional(Type.String()),
})

const source = Type.Object({ component: Type.Optional(Type.String()), host: Type.Optional(Type.String()) })

/** What both API groups that events are served in call the same. */
const commonFields = {
  action: Type.Optional(Type.String()),
  eventTime: Type.Optional(nullableMicroTime),
  reason: Type.Optional(Type.String()),
  related: Type.Optional(reference),
  reportingInstance: Type.Optional(Type.String()),
  series: Type.Optional(
    Type.Object({ count: Type.Optional(Type.Integer()), lastObservedTime: Type.Optional(nullableMicroTime) }),
  ),
  type: Type.Optional(oneOf(['Normal', 'Warning'])),
}

const eventFields = {
  ...commonFields,
  involvedObject: reference,
  message: Type.Optional(Type.String()),
  count: Type.Optional(Type.Integer()),
  firstTimestamp: Type.Optional(nullableTime),
  lastTimestamp: Type.Optional(nullableTime),
  source: Type.Optional(source),
  reportingComponent: Type.Optional(Type.String()),
}
const eventSchema = Type.Object(eventFields)

/** Something that happened to an object, told to its owner. */
export type Event = Readonly<{ apiVersion: string; kind: string; metadata: ObjectMeta }> & Of<typeof eventSchema>

const objectOf = (name: string): Column => ({
  name: 'Object',
  type: 'string',
  path: name,
  cell: (event) => {
    const { kind, name: of } = (event[name] ?? {}) as { kind?: string; name?: string }
    return `${(kind ?? '').toLowerCase()}/${of ?? ''}`
  },
})

export const Event: Kind<Event> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  isUncollected: true,
  shortNames: ['ev'],
  categories: [],
  namespaced: true,
  status: false,
  columns: [
    { name: 'Last Seen', type: 'date', path: 'lastTimestamp', or: 'eventTime' },
    { name: 'Type', type: 'string', path: 'type' },
    { name: 'Reason', type: 'string', path: 'reason' },
    objectOf('involvedObject'),
    { name: 'Message', type: 'string', path: 'message' },
    { name: 'Name', type: 'string', path: 'metadata.name', wide: true },
  ],
  schema: objectSchema(eventFields, 'Something that happened to an object.'),
}

/** What `events.k8s.io` calls fields of the same events. */
export const eventNames = {
  note: 'message',
  regarding: 'involvedObject',
  reportingController: 'reportingComponent',
  deprecatedCount: 'count',
  deprecatedFirstTimestamp: 'firstTimestamp',
  deprecatedLastTimestamp: 'lastTimestamp',
  deprecatedSource: 'source',
} as const

/** Events as the newer API group shows them. What is required of them is so only here, and of new ones. */
export const EventOfEvents: Kind = {
  ...(Event as unknown as Kind),
  group: 'events.k8s.io',
  // kubectl warns of a short name that could mean either.
  shortNames: [],
  columns: [
    { name: 'Last Seen', type: 'date', path: 'deprecatedLastTimestamp', or: 'eventTime' },
    { name: 'Type', type: 'string', path: 'type' },
    { name: 'Reason', type: 'string', path: 'reason' },
    objectOf('regarding'),
    { name: 'Message', type: 'string', path: 'note' },
    { name: 'Name', type: 'string', path: 'metadata.name', wide: true },
  ],
  schema: objectSchema(
    {
      ...commonFields,
      action: Type.String(),
      eventTime: microTime,
      reason: Type.String(),
      reportingController: Type.String(),
      reportingInstance: Type.String(),
      type: oneOf(['Normal', 'Warning']),
      note: Type.Optional(Type.String()),
      regarding: reference,
      deprecatedCount: Type.Optional(Type.Integer()),
      deprecatedFirstTimestamp: Type.Optional(nullableTime),
      deprecatedLastTimestamp: Type.Optional(nullableTime),
      deprecatedSource: Type.Optional(source),
    },
    'Something that happened to an object.',
  ),
}
