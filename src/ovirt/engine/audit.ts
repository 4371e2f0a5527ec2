import { randomUUID } from 'node:crypto'
import { auditPrefix, Event } from '#apis/core/event.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { Stored } from '#apis/meta/object.ts'
import { timestamp } from '#base/time.ts'
import type { Client } from '#machinery/client/client.ts'

export type Severity = 'normal' | 'warning' | 'error' | 'alert'

/** Annotations of the Events that are entries of the audit log. Only the system may write them. */
export const codeAnnotation = `${auditPrefix}code`
export const severityAnnotation = `${auditPrefix}severity`
export const userAnnotation = `${auditPrefix}user`
export const correlationAnnotation = `${auditPrefix}correlation-id`
export const originAnnotation = `${auditPrefix}origin`
export const customIdAnnotation = `${auditPrefix}custom-id`
/** The job that an entry ends: what it did, and when it began, as JSON. */
export const jobAnnotation = `${auditPrefix}job`

/** An entry of oVirt's audit log. `code` is the engine's number of the kind of event (facts/ovirt.md §6). */
export type Entry = Readonly<{
  code: number
  reason: string
  severity: Severity
  text: string
  /** What it is about; without a VM it belongs to the namespace alone. */
  vm?: Stored<VirtualMachine>
  namespace: string
  user: string
  correlationId?: string
  job?: Readonly<{ description: string; startMs: number }>
  origin?: string
  customId?: number
}>

/** The entry of a start: clients that ask for the newest entry always find one (facts/ovirt-clients.md §6). */
export const startEntry: Entry = {
  ...{ code: 1, reason: 'VDC_START', severity: 'normal', text: 'Starting oVirt Engine.' },
  ...{ namespace: 'default', user: 'SYSTEM' },
}

/** Writes an entry: an Event of its own, never counted up. Resolves to it. */
export function record(client: Client, entry: Entry): Promise<Stored<Event>> {
  const { code, reason, severity, text, vm, namespace, user, correlationId, job, origin, customId } = entry
  const now = timestamp()
  const about = vm?.metadata.name ?? 'engine'
  return client.create(Event, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: {
      name: `${about}.${randomUUID().replaceAll('-', '').slice(0, 16)}`,
      namespace,
      annotations: {
        [codeAnnotation]: String(code),
        [severityAnnotation]: severity,
        [userAnnotation]: user,
        ...(correlationId !== undefined && { [correlationAnnotation]: correlationId }),
        ...(job && { [jobAnnotation]: JSON.stringify(job) }),
        ...(origin !== undefined && { [originAnnotation]: origin }),
        ...(customId !== undefined && { [customIdAnnotation]: String(customId) }),
      },
    },
    involvedObject: vm
      ? { apiVersion: vm.apiVersion, kind: vm.kind, namespace, name: about, uid: vm.metadata.uid }
      : { kind: 'Namespace', name: namespace, namespace },
    reason,
    message: text,
    type: severity === 'normal' ? 'Normal' : 'Warning',
    count: 1,
    firstTimestamp: now,
    lastTimestamp: now,
    source: { component: 'patchbay-ovirt' },
    reportingComponent: 'patchbay-ovirt',
  })
}
