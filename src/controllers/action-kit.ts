import { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { ApiObject, Kind, Stored } from '#apis/meta/object.ts'
import { Fault, faultKind } from '#base/fault.ts'
import type { Client, Key } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'
import { waitFor } from '#machinery/client/wait-for.ts'
import type { Action, ActionCall } from '#machinery/rest/actions.ts'
import type { User } from '#machinery/rest/strategy.ts'

/** How long a node's agent may take to act on a guest before the caller gets a timeout, milliseconds. */
export const agentMs = 20_000

/** The reason of a refusal, as `core` says it. */
export type Refusal = Readonly<{
  refuse: 'Conflict' | 'BadRequest' | 'Forbidden' | 'NotFound' | 'Invalid'
  text: string
}>

/** A PUT on a VM (answered 202) or an instance (200 unless given), in the group of KubeVirt's subresources. */
export function putAction(
  kind: Pick<Kind, 'plural' | 'kind'>,
  subresource: string,
  run: (call: ActionCall) => Promise<void>,
  code = kind.kind === VirtualMachine.kind ? 202 : 200,
): Action {
  return {
    ...where(kind, subresource),
    method: 'PUT',
    run: async (call) => {
      await run(call)
      return { code }
    },
  }
}

/** A GET on a VM or an instance. */
export function getAction(
  kind: Pick<Kind, 'plural' | 'kind'>,
  subresource: string,
  run: (call: ActionCall) => ReturnType<Action['run']>,
): Action {
  return { ...where(kind, subresource), method: 'GET', run }
}

function where({ plural, kind }: Pick<Kind, 'plural' | 'kind'>, subresource: string) {
  return { at: { group: 'subresources.kubevirt.io', version: 'v1', plural }, subresource, kind }
}

/** The object of a call. */
export function keyOf({ namespace, name }: ActionCall): Required<Key> {
  return { namespace, name }
}

/** @throws Fault NotFound in KubeVirt's words */
export async function mustGet<T extends ApiObject>(client: Client, kind: Kind<T>, key: Key): Promise<Stored<T>> {
  const found = await client.get(kind, key)
  if (found) return found
  const details = { name: key.name, group: kind.group, kind: kind.singular }
  throw new Fault('NotFound', `${kind.singular}.${kind.group} "${key.name}" not found`, { data: { details } })
}

/** The Fault of a refusal, in the form Kubernetes gives it. */
export function refusal(
  { singular, group }: Pick<Kind, 'singular' | 'group'>,
  name: string,
  { refuse, text }: Refusal,
): Fault {
  const details = { name, group, kind: singular }
  if (refuse === 'BadRequest') return new Fault(refuse, text)
  return new Fault(refuse, `${prefixOf(refuse, `${singular}.${group} "${name}"`)}: ${text}`, { data: { details } })
}

function prefixOf(refuse: Refusal['refuse'], what: string): string {
  if (refuse === 'Conflict') return `Operation cannot be fulfilled on ${what}`
  if (refuse === 'Forbidden') return `${what} is forbidden`
  return refuse === 'Invalid' ? `${what} is invalid` : what
}

/** What verbs work with. */
export type ActionContext = Readonly<{
  /** The server's own client: for what only the server may write. */
  client: Client
  /** A client in the name of a user whose rights have been checked already. */
  clientAs(user: User): Client
  vmis: Informer<VirtualMachineInstance>
}>

/**
 * Waits until a node's agent has done what an instance requests; `requested` is the instance as it was written.
 * @throws Fault Timeout with `late`, Aborted when the caller leaves, and whatever `isDone` throws
 */
export async function untilDone(
  { client, vmis }: ActionContext,
  { signal }: ActionCall,
  requested: VirtualMachineInstance,
  isDone: (vmi: VirtualMachineInstance | undefined) => boolean,
  late: string,
): Promise<void> {
  const isGone = async () => (await client.get(VirtualMachineInstance, requested.metadata)) === undefined
  const deadline = AbortSignal.timeout(agentMs)
  try {
    await waitFor(vmis, requested, isDone, { isGone, signal: AbortSignal.any([signal, deadline]) })
  } catch (cause) {
    if (deadline.aborted && !signal.aborted && faultKind(cause) === 'Aborted')
      throw new Fault('Timeout', late, { cause })
    throw cause
  }
}
