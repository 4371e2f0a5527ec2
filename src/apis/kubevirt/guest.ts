import { Type } from 'typebox'
import { type Of, oneOf } from '../meta/schema.ts'

/** The guest's operating system, as its agent reports it (KubeVirt's `status.guestOSInfo`). */
export const guestOsInfoSchema = Type.Object({
  name: Type.Optional(Type.String()),
  kernelRelease: Type.Optional(Type.String()),
  version: Type.Optional(Type.String()),
  prettyName: Type.Optional(Type.String()),
  versionId: Type.Optional(Type.String()),
  kernelVersion: Type.Optional(Type.String()),
  machine: Type.Optional(Type.String()),
  id: Type.Optional(Type.String()),
})
export type GuestOsInfo = Of<typeof guestOsInfoSchema>

/** What else the guest's agent reports about itself and the guest; KubeVirt has no field for it. */
export const guestAgentSchema = Type.Object({
  version: Type.Optional(Type.String()),
  hostname: Type.Optional(Type.String()),
  timezone: Type.Optional(Type.String({ description: 'Name and seconds east of UTC, such as `CET, 3600`.' })),
})
export type GuestAgent = Of<typeof guestAgentSchema>

/** PCIe ports of a running guest: each takes one card, and none can be added. */
export const pciPortsSchema = Type.Object({
  total: Type.Integer({ description: 'Ports the guest was started with, those of other devices included.' }),
  free: Type.Integer({ description: 'Ports nothing is on: how many more interfaces can be plugged.' }),
})
export type PciPorts = Of<typeof pciPortsSchema>

/** The actions of power requests, which a guest carries out once. */
export const guestActions = ['Reset', 'SoftReboot'] as const
export type GuestAction = (typeof guestActions)[number]

/** The result of a power request; `Begun` until the node's agent knows it. */
export const powerRequestSchema = Type.Object({
  id: Type.String(),
  action: oneOf(guestActions),
  state: oneOf(['Begun', 'Done', 'Failed', 'Expired', 'Unknown']),
  message: Type.Optional(Type.String()),
})
export type PowerRequestRecord = Of<typeof powerRequestSchema>
