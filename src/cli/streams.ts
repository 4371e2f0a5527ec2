import { Fault } from '#base/fault.ts'
import type { Channels } from '#machinery/client-node/channels.ts'
import { type Context, ExitError } from './context.ts'

/** What commands that open channels work with. */
export type StreamContext = Context & Readonly<{ channels: Channels }>

/** The subprotocol of KubeVirt's streams. */
export const protocol = 'plain.kubevirt.io'

/** What a stream leads to, as virtctl names it: `KIND/NAME[/NAMESPACE]`. */
export type Target = Readonly<{ kind: 'vm' | 'vmi'; name: string; namespace: string }>

const kinds: Readonly<Record<string, Target['kind']>> = {
  vm: 'vm',
  vms: 'vm',
  virtualmachine: 'vm',
  virtualmachines: 'vm',
  vmi: 'vmi',
  vmis: 'vmi',
  virtualmachineinstance: 'vmi',
  virtualmachineinstances: 'vmi',
}

export const pluralOf = { vm: 'virtualmachines', vmi: 'virtualmachineinstances' } as const

/** @throws Fault Invalid */
export function targetOf(text: string, namespace: string): Target {
  const [type = '', name = '', given = namespace, ...more] = text.split('/')
  const kind = kinds[type.toLowerCase()]
  if (!kind || !name || !given || more.length)
    throw new Fault(
      'Invalid',
      `${JSON.stringify(text)} names no guest; write it like vm/NAME, vmi/NAME or vm/NAME/NAMESPACE`,
    )
  return { kind, name, namespace: given }
}

/** Why a channel that was open has ended, for people; undefined for an end that is none of a failure. */
export function endOf(code: number, reason: string): ExitError | undefined {
  if (code === 1000 || code === 1005) return undefined
  if (code === 1001) return new ExitError(1, 'The API server stopped; connect again when it is back')
  if (code === 1006)
    return new ExitError(
      1,
      'You were disconnected. The guest was powered off, another user has taken its place, or the network was interrupted',
    )
  return new ExitError(1, `You were disconnected: ${reason || `code ${code}`}`)
}
