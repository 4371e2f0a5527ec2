import { explain, faultKind } from '#base/fault.ts'
import { engineFault } from '../engine/kube-faults.ts'
import { EngineFault, NotFound } from '../wire/faults.ts'

/** Errors of JSON-RPC 2.0 itself. */
export const protocol = {
  parse: { code: -32700, text: 'Invalid JSON' },
  request: { code: -32600, text: 'Invalid request' },
  method: { code: -32601, text: 'Method not found' },
  params: { code: -32602, text: 'Invalid parameters' },
  internal: { code: -32603, text: 'Internal error' },
} as const

/** Errors of vdsm, with its messages (facts/ovirt.md §4.3). */
export const vdsm = {
  noVm: { code: 1, text: 'Virtual machine does not exist' },
  create: { code: 9, text: 'Error creating the requested VM' },
  missing: { code: 11, text: 'Missing required parameter' },
  notImplemented: { code: 44, text: 'Not implemented' },
  plug: { code: 49, text: 'Failed to hotplug NIC' },
  unplug: { code: 50, text: 'Failed to hotunplug NIC' },
  migrating: { code: 51, text: 'Command not supported during migration' },
  update: { code: 56, text: 'Failed to update device' },
} as const

export type ErrorKind = Readonly<{ code: number; text: string }>

/** A refusal as its client gets it: the message that belongs to the code, with the reason behind it. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: number

  constructor({ code, text }: ErrorKind, reason?: string) {
    super(reason === undefined ? text : `${text}: ${reason}`)
    this.code = code
  }
}

/** What stopped a verb, as the failure of that verb. Bugs stay as they are. */
export function failureOf(error: unknown, verb: ErrorKind): unknown {
  if (error instanceof RpcError) return error
  const known = engineFault(error)
  if (known instanceof NotFound) return new RpcError(vdsm.noVm)
  if (known instanceof EngineFault) return new RpcError(verb, reasonOf(known))
  return faultKind(error) === 'Aborted' ? new RpcError(verb, explain(error)) : error
}

/** The engine's messages without the brackets of a list of Java, and without the sentence that says the same as vdsm's own. */
function reasonOf({ detail }: EngineFault): string {
  return detail
    .replace(/^\[(.*)\]$/s, '$1')
    .replace(/^Failed to (activate|deactivate|update) VM Network Interface\., /, '')
}
