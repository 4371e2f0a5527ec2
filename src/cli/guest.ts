import type { Context } from './context.ts'
import { orEnd, pathOf } from './virtctl.ts'

/** virtctl's commands on a running guest, with virtctl's calls and error texts (facts/kubevirt.md §5.1). */
const verbs = {
  'soft-reboot': ['softreboot', 'Error soft rebooting VirtualMachineInstance'],
  // The spelling is virtctl's.
  reset: ['reset', 'Error reseting VirtualMachineInstance'],
} as const

/** `soft-reboot` and `reset` of an instance. @throws ExitError in virtctl's words */
export async function rebootGuest(
  { client, namespace, print }: Context,
  verb: keyof typeof verbs,
  name: string,
): Promise<void> {
  const [subresource, prefix] = verbs[verb]
  await orEnd(`${prefix} ${name}: `, () =>
    client.call('PUT', pathOf(namespace, 'virtualmachineinstances', name, subresource)),
  )
  print.line(`VMI ${name} was scheduled to ${verb}`)
}

/** What the guest agent reports of the guest and itself, as JSON. @throws ExitError in virtctl's words */
export async function showGuestInfo({ client, namespace, print }: Context, name: string): Promise<void> {
  const info = await orEnd(`Error getting guestosinfo of VirtualMachineInstance ${name}, `, () =>
    client.call('GET', pathOf(namespace, 'virtualmachineinstances', name, 'guestosinfo')),
  )
  print.line(JSON.stringify(info, undefined, 2))
}
