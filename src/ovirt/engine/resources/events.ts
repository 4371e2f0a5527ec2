import { Event } from '#apis/core/event.ts'
import type { Stored } from '#apis/meta/object.ts'
import { faultKind } from '#base/fault.ts'
import type { Doc } from '../../wire/document.ts'
import { EngineFault, incomplete, NotFound } from '../../wire/faults.ts'
import * as audit from '../audit.ts'
import { type Call, created, ok } from '../call.ts'
import { hrefOf, type Route } from '../routes.ts'
import type { Fields } from '../search.ts'
import { countIn, listed } from './collection.ts'
import { userDoc } from './entry.ts'

/** An entry of the audit log. Its id is the revision of its Event, which only grows and survives restarts. */
export type Entry = Readonly<{ id: number; event: Stored<Event> }>

/** The entries that the user may see, newest first. */
export async function entriesFor(call: Call): Promise<readonly Entry[]> {
  const lists = await visible(call)
  return lists
    .filter((event) => annotation(event, audit.codeAnnotation) !== undefined)
    .map((event) => ({ id: Number(event.metadata.resourceVersion), event }))
    .toSorted((a, b) => b.id - a.id)
}

async function visible({ client, world }: Call): Promise<readonly Stored<Event>[]> {
  const within = async (namespace?: string) => {
    try {
      return (await client.list(Event, namespace === undefined ? {} : { namespace })).items
    } catch (error) {
      if (faultKind(error) === 'Forbidden') return undefined
      throw error
    }
  }
  const all = await within()
  if (all) return all
  const lists = await Promise.all((await world.dataCenters()).map(({ namespace }) => within(namespace)))
  return lists.flatMap((list) => list ?? [])
}

/** An annotation of an Event. */
export function annotation({ metadata }: Stored<Event>, name: string): string | undefined {
  return metadata.annotations?.[name]
}

/** When an Event happened. */
export function timeOf({ metadata, lastTimestamp }: Stored<Event>): Date {
  return new Date(lastTimestamp ?? metadata.creationTimestamp)
}

async function eventDoc({ id, event }: Entry, { world }: Call): Promise<Doc> {
  const { involvedObject, message = '' } = event
  const user = annotation(event, audit.userAnnotation)
  const machine = (await world.machines()).find(({ vm }) => vm.metadata.uid === involvedObject.uid)
  const place = (await world.dataCenters()).find(({ namespace }) => namespace === event.metadata.namespace)
  const at = (collection: string, one: string | undefined): Doc | undefined =>
    one === undefined ? undefined : { href: hrefOf(collection, one), id: one }
  const vm = involvedObject.kind === 'VirtualMachine' ? involvedObject.uid : undefined
  return {
    href: hrefOf('events', String(id)),
    id: String(id),
    code: Number(annotation(event, audit.codeAnnotation)),
    correlation_id: annotation(event, audit.correlationAnnotation),
    custom_id: Number(annotation(event, audit.customIdAnnotation) ?? -1),
    description: message,
    flood_rate: 30,
    index: id,
    origin: annotation(event, audit.originAnnotation) ?? 'oVirt',
    severity: annotation(event, audit.severityAnnotation) ?? 'normal',
    time: timeOf(event),
    cluster: at('clusters', machine?.cluster.id),
    data_center: at('datacenters', place?.id),
    host: at('hosts', await hostOf(event, world, machine?.vmi?.status?.nodeName)),
    user: user === undefined ? undefined : at('users', userDoc(user).id),
    vm: at('vms', vm),
  }
}

async function hostOf(
  { involvedObject }: Event,
  world: Call['world'],
  node: string | undefined,
): Promise<string | undefined> {
  if (involvedObject.kind !== 'VirtualMachine' || node === undefined) return undefined
  return (await world.hosts()).find(({ metadata }) => metadata.name === node)?.metadata.uid
}

const fields: Fields<Entry> = ({ id, event }, field, of) => {
  const { involvedObject, message = '' } = event
  if (of === 'vm') return { name: [involvedObject.name ?? ''], id: [involvedObject.uid ?? ''] }[field]
  if (of !== undefined && of !== 'event') return undefined
  return {
    id: [String(id)],
    type: [annotation(event, audit.codeAnnotation) ?? ''],
    severity: [annotation(event, audit.severityAnnotation) ?? ''],
    message: [message],
    description: [message],
    time: [timeOf(event).toISOString()],
    correlation_id: [annotation(event, audit.correlationAnnotation) ?? ''],
    origin: [annotation(event, audit.originAnnotation) ?? 'oVirt'],
    name: [message],
  }[field]
}

/** Severities that clients may give their own events. */
const severities: readonly audit.Severity[] = ['normal', 'warning', 'error', 'alert']
/** The engine's code of events that come from outside: external events have codes of their own from here (facts/ovirt.md §6). */
const externalCodes = { normal: 9801, warning: 9802, error: 9803, alert: 9804 } as const

/** Adds an event of a client's own. */
async function postEvent(call: Call): Promise<Entry> {
  const { input, world, account, gateway, correlationId } = call
  const text = input.textAt('description')
  const origin = input.textAt('origin')
  const given = input.textAt('severity')?.toLowerCase()
  const missing = [...(text ? [] : ['description']), ...(given ? [] : ['severity']), ...(origin ? [] : ['origin'])]
  if (!text || !origin || missing.length) throw incomplete('Event', 'add', ...missing)
  const severity = severities.find((one) => one === given)
  if (!severity)
    throw new EngineFault(
      400,
      'Invalid Enum value',
      `The value '${given}' isn't a valid LogSeverity, it should be one of ${severities.join(', ')}`,
    )
  const id = input.textAt('vm', 'id')
  const machine = (await world.machines()).find(({ vm }) => vm.metadata.uid === id)
  const [place] = await world.dataCenters()
  const namespace = machine?.vm.metadata.namespace ?? place?.namespace ?? 'default'
  const customId = Number(input.textAt('custom_id') ?? -1)
  const event = await audit.record(gateway.own, {
    ...{ code: externalCodes[severity], reason: 'EXTERNAL_EVENT', severity, text, namespace, origin },
    ...{ user: account.name, correlationId, customId },
    ...(machine && { vm: machine.vm }),
  })
  return { id: Number(event.metadata.resourceVersion), event }
}

export const eventRoutes: readonly Route[] = [
  {
    path: 'events',
    get: async (call) => {
      const from = countIn(call, 'from') ?? -1
      const entries = (await entriesFor(call)).filter(({ id }) => id > from)
      return listed(call, { root: 'events', item: 'event', show: eventDoc }, entries, fields)
    },
    post: async (call) => {
      // Who may write Events of the namespace may add to its log.
      const entry = await postEvent(call)
      return created('event', await eventDoc(entry, call))
    },
  },
  {
    path: 'events/:event',
    get: async (call) => {
      const found = (await entriesFor(call)).find(({ id }) => String(id) === call.params.event)
      if (!found) throw new NotFound()
      return ok('event', await eventDoc(found, call))
    },
  },
]
