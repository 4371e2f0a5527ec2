import type { Doc } from '../../wire/document.ts'
import { NotFound } from '../../wire/faults.ts'
import { ok } from '../call.ts'
import { idIn } from '../ids.ts'
import { hrefOf, type Route } from '../routes.ts'
import type { Machine } from '../world.ts'
import { theMachine } from './find.ts'

/** The network devices that the agent in the guest tells of; those with a MAC address only, if one is given. */
export function reportedDevicesOf({ vm, vmi }: Machine, mac?: string): Doc[] {
  const { uid } = vm.metadata
  const seen = (vmi?.status?.interfaces ?? []).filter(({ infoSource }) => infoSource?.includes('guest-agent'))
  return seen
    .filter((one) => one.interfaceName !== undefined && (mac === undefined || one.mac === mac))
    .map(({ interfaceName = '', mac: address = '', ipAddresses = [] }) => {
      const id = idIn(uid, `device/${address}`)
      const ip = ipAddresses.map((text) => ({ address: text, version: text.includes(':') ? 'v6' : 'v4' }))
      return {
        href: hrefOf('vms', uid, 'reporteddevices', id),
        id,
        name: interfaceName,
        description: 'guest reported data',
        ...(ip.length && { ips: { ip } }),
        mac: { address },
        type: 'network',
        vm: { href: hrefOf('vms', uid), id: uid },
      }
    })
}

export const reportedDeviceRoutes: readonly Route[] = [
  {
    path: 'vms/:vm/reporteddevices',
    get: async (call) => ok('reported_devices', { reported_device: reportedDevicesOf(await theMachine(call)) }),
  },
  {
    path: 'vms/:vm/reporteddevices/:device',
    get: async (call) => {
      const found = reportedDevicesOf(await theMachine(call)).find(({ id }) => id === call.params.device)
      if (!found) throw new NotFound()
      return ok('reported_device', found)
    },
  },
]
