import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import type { Limits } from '#machinery/http/limits.ts'
import { openListener, type TlsIdentity } from '#machinery/http/listener.ts'
import { auditLine } from '#machinery/rest/access/audit.ts'
import type { Guard } from '#machinery/rest/access/guard.ts'
import { LocalClient } from '#machinery/rest/local-client.ts'
import { record, startEntry } from '#ovirt/engine/audit.ts'
import { startAuditor } from '#ovirt/engine/auditor.ts'
import type { Gateway } from '#ovirt/engine/call.ts'
import type { AuditedWrite, EngineDoor, EngineOptions } from '#ovirt/engine/door.ts'
import type { Queues } from '#ovirt/engine/queues.ts'
import type { Api } from '#server/api.ts'
import { addressOf, urlOf } from './listen-address.ts'

/** Where oVirt's API is to be served. A default that is taken leaves the door shut; one that was asked for is an error. */
export type OvirtListen = Readonly<{ listen: string; isDefault: boolean }>

type Options = Readonly<{
  ovirt?: OvirtListen
  api: Api
  guard: Guard
  identity: () => TlsIdentity
  /** Those of all doors to VMs. */
  queues: Queues
  limits: Limits
  log: Log
}>

/** The open door: its port, what is said about it at the start, and how it takes new certificates. */
type OvirtDoor = Readonly<{ line: string; port?: number; renew(tls: TlsIdentity): void }>

const option = '--ovirt-listen'

/** Serves oVirt's API on a port of its own, over HTTP/1.1 alone. Undefined when it is off. @throws Fault Invalid, Unavailable */
export async function openOvirtDoor(options: Options, stack: AsyncDisposableStack): Promise<OvirtDoor | undefined> {
  const { ovirt, api, guard, identity, queues, limits, log } = options
  if (!ovirt) return undefined
  const listen = addressOf(option, ovirt.listen)
  const gateway = gatewayOf(api, guard, log)
  const door = lazyDoor({
    gateway,
    tokens: guard.tokens,
    pki: { authority: () => identity().clientAuthority, server: () => (identity().given ?? identity().own).cert },
    queues,
    audit: (write) => audit(guard, write),
    log,
  })
  try {
    const listener = await openListener({ listen, tls: identity(), limits, log, option, isHttp1Only: true }, [door])
    stack.defer(() => listener.close())
    stack.defer(() => door.stop())
    await gateway.note(startEntry)
    stack.defer(startAuditor({ note: gateway.note, vms: api.objects.vms, vmis: api.objects.vmis }))
    return {
      line: `oVirt door: ${urlOf(listen.host, listener.port)}/ovirt-engine/api`,
      port: listener.port,
      renew: (tls) => listener.renew(tls),
    }
  } catch (error) {
    if (!ovirt.isDefault || faultKind(error) !== 'Unavailable') throw error
    const line = `oVirt door: none, since ${ovirt.listen} is taken; choose another address with ${option} HOST:PORT`
    return { line, renew: () => undefined }
  }
}

/** The door, whose modules are loaded when the first client comes: most installations have none. */
function lazyDoor(options: EngineOptions): EngineDoor {
  let loaded: Promise<EngineDoor> | undefined
  let isStopped = false
  const load = async () => {
    const { engineDoor } = await import('#ovirt/engine/door.ts')
    const door = engineDoor(options)
    if (isStopped) door.stop()
    return door
  }
  return {
    matches: () => true,
    serve: async (exchange) => {
      loaded ??= load()
      await (await loaded).serve(exchange)
    },
    stop: () => {
      isStopped = true
      // One that could not be loaded has nothing to stop.
      void loaded?.then(
        (door) => door.stop(),
        () => undefined,
      )
    },
  }
}

/** The Kubernetes API of this process, as the door uses it: each request is decided by the rights of its user. */
export function gatewayOf(api: Api, guard: Guard, log: Log): Gateway {
  const { own } = api.clients
  const group = 'subresources.kubevirt.io'
  const verbOf = (plural: string, subresource: string) => {
    const found = guard.actions.find(({ at, subresource: its }) => at.plural === plural && its === subresource)
    if (!found) throw new Fault('Bug', `There is no verb ${subresource} of ${plural}`)
    return found
  }
  return {
    own,
    note: (entry) =>
      record(own, entry).then(
        () => undefined,
        (error: unknown) =>
          log.warn({ vm: entry.vm?.metadata.name, cause: explain(error) }, 'Cannot write the audit log of oVirt’s API'),
      ),
    clientOf: (user) => new LocalClient(api.registry, { user, manager: 'patchbay-ovirt', access: api.access }),
    act: async (user, verb, { namespace, name }, input) => {
      const { plural } = VirtualMachine
      api.access.require(user, { verb: 'update', group, resource: plural, subresource: verb, namespace, name })
      const signal = new AbortController().signal
      await verbOf(plural, verb).run({
        namespace,
        name,
        input: JSON.parse(JSON.stringify(input)),
        query: {},
        user,
        dryRun: false,
        signal,
      })
    },
    traffic: async (user, { namespace, name }, signal) => {
      const { plural } = VirtualMachineInstance
      api.access.require(user, { verb: 'get', group, resource: plural, subresource: 'traffic', namespace, name })
      try {
        const call = { namespace, name, input: {}, query: {}, user, dryRun: false, signal }
        return (await verbOf(plural, 'traffic').run(call)).body
      } catch (error) {
        // Its guest does not run, or cannot be reached now.
        if (['NotFound', 'Conflict', 'Unavailable'].includes(faultKind(error))) return undefined
        throw error
      }
    },
  }
}

/** Writes the line of a write to the audit log of the server. */
export function audit({ audit: log }: Guard, write: AuditedWrite): void {
  const { id, account, address, ...seen } = write
  const record = { id, ...(account && { sender: account.user }) }
  const line = auditLine(record, { ...seen, sourceIp: address }, Date.now())
  if (!line) return
  if (seen.code < 400) log.write(line)
  else log.writeRefusal(account?.name ?? address, line)
}
