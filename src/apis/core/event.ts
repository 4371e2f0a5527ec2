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

/** The fields that have the same name in both API groups of events. */
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

/** A report to the owner of an object about something that happened to it. */
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

/** Annotations of Events that are entries of an audit log begin so: only the system may write them, and they are kept longer. */
export const auditPrefix = 'ovirt.patchbay.dev/'

/** Whether an Event is an entry of an audit log, or wants to be. */
export function isAuditEntry({ metadata }: Pick<Event, 'metadata'>): boolean {
  return Object.keys(metadata.annotations ?? {}).some((name) => name.startsWith(auditPrefix))
}

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

/** The names in `events.k8s.io` of fields of the same events. */
export const eventNames = {
  note: 'message',
  regarding: 'involvedObject',
  reportingController: 'reportingComponent',
  deprecatedCount: 'count',
  deprecatedFirstTimestamp: 'firstTimestamp',
  deprecatedLastTimestamp: 'lastTimestamp',
  deprecatedSource: 'source',
} as const

/** Events in the newer API group. Its required fields are required only here, and only of new events. */
export const EventOfEvents: Kind = {
  ...(Event as unknown as Kind),
  group: 'events.k8s.io',
  // kubectl warns about a short name that two resources share.
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
