import type { GuestAgent, GuestOsInfo } from '#apis/kubevirt/guest.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { JsonObject } from '#base/json.ts'
import { findCondition } from './conditions.ts'

/** What a guest's agent tells about its guest and itself. */
export type GuestInfo = Readonly<{ os: GuestOsInfo; agent: GuestAgent }>

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
