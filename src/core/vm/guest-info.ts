import type { GuestAgent, GuestOsInfo } from '#apis/kubevirt/guest.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { JsonObject } from '#base/json.ts'
import type { GuestInterface } from '../nic/status.ts'
import { findCondition } from './conditions.ts'

/** What a guest's agent reports about the guest and itself. */
export type GuestInfo = Readonly<{ os: GuestOsInfo; agent: GuestAgent }>

/** Most interfaces of a guest, and most addresses of each, that are taken from its agent. */
const maxInterfaces = 256
const maxAddresses = 64
/** Longest text taken from a guest, characters; a host name has at most 253. */
const maxText = 256

/** Untrusted text of a guest: truncated, and without control characters for terminals or logs. */
export function guestText(text: string): string {
  return text.slice(0, maxText).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')
}

/** The interfaces that a guest reported, limited and with valid addresses only. */
export function boundedInterfaces(interfaces: readonly GuestInterface[]): GuestInterface[] {
  return interfaces.slice(0, maxInterfaces).map(({ name, mac, ips }) => ({
    name: guestText(name),
    mac: /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac) ? mac : '',
    ips: ips.filter(isAddress).slice(0, maxAddresses),
  }))
}

function isAddress(ip: string): boolean {
  const parts = ip.split('.')
  if (parts.length === 4) return parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)
  return ip.includes(':') && /^[0-9a-f:.]{2,45}$/i.test(ip)
}

/**
 * The answer to `guestosinfo`, a VirtualMachineInstanceGuestAgentInfo, from what the node's agent has published; or why there
 * is none, in KubeVirt's words (facts/kubevirt.md §5.2).
 */
export function guestInfoBody({ status }: VirtualMachineInstance): { body: JsonObject } | { refuse: string } {
  if (status?.phase !== 'Running') return { refuse: 'VMI is not running' }
  if (!findCondition(status.conditions, 'AgentConnected')) return { refuse: 'VMI does not have guest agent connected' }
  const { version, hostname, timezone } = status.guestAgent ?? {}
  return {
    body: {
      ...(version !== undefined && { guestAgentVersion: version }),
      ...(hostname !== undefined && { hostname }),
      os: { ...status.guestOSInfo },
      ...(timezone !== undefined && { timezone }),
    },
  }
}
