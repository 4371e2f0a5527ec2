import { type Codec, int, optional, type Parameters, parameters, string, struct } from './codec.ts'
import { type Domain, domain } from './procedures.ts'
import { type LifecycleEvent, lifecycleOf } from './states.ts'
import type { Frame } from './wire.ts'
import { XdrReader } from './xdr.ts'

const metadataNames = ['description', 'title', 'element'] as const

/** Events of libvirt. */
export type LibvirtEvent =
  | Readonly<{ type: 'lifecycle'; domain: Domain; event: LifecycleEvent; detail: string }>
  | Readonly<{ type: 'reboot'; domain: Domain }>
  | Readonly<{ type: 'deviceAdded'; domain: Domain; alias: string }>
  | Readonly<{ type: 'deviceRemoved'; domain: Domain; alias: string }>
  | Readonly<{ type: 'deviceRemovalFailed'; domain: Domain; alias: string }>
  | Readonly<{ type: 'trayChange'; domain: Domain; alias: string }>
  | Readonly<{ type: 'agentLifecycle'; domain: Domain; connected: boolean }>
  | Readonly<{ type: 'migrationIteration'; domain: Domain; iteration: number }>
  | Readonly<{ type: 'jobCompleted'; domain: Domain; statistics: Parameters }>
  | Readonly<{
      type: 'metadataChange'
      domain: Domain
      metadata: (typeof metadataNames)[number]
      uri: string | undefined
    }>

/** One kind of event: the number for its registration, the procedure of its messages, and their codec. */
type EventKind = Readonly<{ event: number; procedure: number; read: (from: XdrReader) => LibvirtEvent }>

function kind<T>(event: number, procedure: number, codec: Codec<T>, make: (body: T) => LibvirtEvent): EventKind {
  return { event, procedure, read: (from) => make(codec.read(from)) }
}

/** Every event starts with the number of its registration, which is ignored: there is one registration of each kind. */
const callback = int
const onDevice = struct({ callback, domain, alias: string })
const onTray = struct({ callback, domain, alias: string, reason: int })

/** The only state in which the agent's channel is connected. */
const agentConnected = 1

/** Every kind of event that Patchbay registers for. */
export const eventKinds: readonly EventKind[] = [
  kind(0, 318, struct({ callback, domain, event: int, detail: int }), (body) => ({
    type: 'lifecycle',
    domain: body.domain,
    ...lifecycleOf(body.event, body.detail),
  })),
  kind(1, 319, struct({ callback, domain }), (body) => ({ type: 'reboot', domain: body.domain })),
  kind(15, 333, onDevice, ({ domain, alias }) => ({ type: 'deviceRemoved', domain, alias })),
  kind(19, 354, onDevice, ({ domain, alias }) => ({ type: 'deviceAdded', domain, alias })),
  kind(22, 367, onDevice, ({ domain, alias }) => ({ type: 'deviceRemovalFailed', domain, alias })),
  kind(10, 328, onTray, ({ domain, alias }) => ({ type: 'trayChange', domain, alias })),
  kind(18, 348, struct({ callback, domain, state: int, reason: int }), (body) => ({
    type: 'agentLifecycle',
    domain: body.domain,
    connected: body.state === agentConnected,
  })),
  kind(20, 359, struct({ callback, domain, iteration: int }), (body) => ({
    type: 'migrationIteration',
    domain: body.domain,
    iteration: body.iteration,
  })),
  kind(21, 363, struct({ callback, domain, parameters }), (body) => ({
    type: 'jobCompleted',
    domain: body.domain,
    statistics: body.parameters,
  })),
  kind(23, 379, struct({ callback, domain, metadata: int, uri: optional(string) }), (body) => ({
    type: 'metadataChange',
    domain: body.domain,
    metadata: metadataNames[body.metadata] ?? 'element',
    uri: body.uri,
  })),
]

const kindByProcedure: ReadonlyMap<number, EventKind> = new Map(eventKinds.map((kind) => [kind.procedure, kind]))

/** The event of a message; undefined for one without a registration. */
export function decodeEvent(frame: Frame): LibvirtEvent | undefined {
  return kindByProcedure.get(frame.header.procedure)?.read(new XdrReader(frame.body))
}
