import { Fault } from '#base/fault.ts'
import { bindings } from '#core/nic/bindings.ts'
import type { Attachment } from '#core/sandbox/plan.ts'
import type { Conflist } from '../cni/conflist.ts'

const instead = 'use the plugin "bridge", with the parent link as a port of that bridge'

/** Why a plugin's links cannot be joined to a guest's card, with a remedy. The guest would run without a connection. */
const refused: Readonly<Record<string, string>> = {
  macvlan: `whose links take frames for their own MAC only; ${instead}`,
  ipvlan: `whose links take frames for their own MAC only; ${instead}`,
  loopback: 'which makes no link that leads anywhere; use the plugin "bridge"',
  vrf: 'which takes the link for a VRF of the sandbox, and a link cannot be a port of the guest’s bridge beside that; take that plugin out, and make the VRF in the guest',
}

/** @throws Fault Invalid for a configuration whose links cannot carry the frames of a guest with bridge binding */
export function requireCarrier({ network, binding }: Attachment, { plugins }: Conflist): void {
  if (!bindings[binding].isOnNetwork) return
  for (const { type } of plugins)
    if (Object.hasOwn(refused, type))
      throw new Fault(
        'Invalid',
        `network ${network} cannot carry a guest with bridge binding: it is made by CNI plugin "${type}", ${refused[type]}`,
      )
}
