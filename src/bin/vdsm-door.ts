import type { Log } from '#base/log.ts'
import type { Limits } from '#machinery/http/limits.ts'
import type { TlsIdentity } from '#machinery/http/listener.ts'
import { openStreamListener } from '#machinery/http/stream-listener.ts'
import type { Guard } from '#machinery/rest/access/guard.ts'
import type { Queues } from '#ovirt/engine/queues.ts'
import type { Api } from '#server/api.ts'
import { addressOf } from './listen-address.ts'
import { audit, gatewayOf } from './ovirt-door.ts'

type Options = Readonly<{
  /** Where vdsm's API is served, if it is. */
  vdsmListen?: string
  api: Api
  guard: Guard
  identity: () => TlsIdentity
  /** Those of all doors to VMs. */
  queues: Queues
  limits: Limits
  log: Log
}>

/** The open door: its port, what is said about it at the start, and how it takes new certificates. */
type VdsmDoor = Readonly<{ line: string; port: number; renew(tls: TlsIdentity): void }>

const option = '--vdsm-listen'

/** Serves vdsm's API on a port of its own. Undefined when it is off. @throws Fault Invalid, Unavailable */
export async function openVdsmDoor(options: Options, stack: AsyncDisposableStack): Promise<VdsmDoor | undefined> {
  const { vdsmListen, api, guard, identity, queues, limits, log } = options
  if (vdsmListen === undefined) return undefined
  const listen = addressOf(option, vdsmListen)
  const { vdsmDoor } = await import('#ovirt/vdsm/door.ts')
  const gateway = gatewayOf(api, guard, log)
  const door = vdsmDoor({ gateway, queues, audit: (write) => audit(guard, write), limits, log })
  const listener = await openStreamListener({ listen, tls: identity(), limits, log, option }, door.serve)
  stack.defer(() => listener.close())
  stack.defer(() => door.stop())
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host
  return { line: `VDSM door: ${host}:${listener.port}`, port: listener.port, renew: (tls) => listener.renew(tls) }
}
