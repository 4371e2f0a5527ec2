import type { GuestOsInfo } from '#apis/kubevirt/guest.ts'
import { faultKind } from '#base/fault.ts'
import { isObject, type Json, type JsonObject } from '#base/json.ts'
import { type GuestInfo, guestText } from '#core/vm/guest-info.ts'

/** Fields of `guest-get-osinfo` by their names in KubeVirt. */
const osFields = {
  name: 'name',
  kernelRelease: 'kernel-release',
  version: 'version',
  prettyName: 'pretty-name',
  versionId: 'version-id',
  kernelVersion: 'kernel-version',
  machine: 'machine',
  id: 'id',
} as const satisfies Record<keyof GuestOsInfo, string>

/**
 * What a guest agent reports about the guest and itself; fields of commands that an old agent lacks are left out. @throws Fault
 * Unavailable
 */
export async function readGuestInfo(agent: (command: JsonObject) => Promise<Json>): Promise<GuestInfo> {
  const ask = async (execute: string): Promise<JsonObject> => {
    try {
      const answer = await agent({ execute })
      return isObject(answer) ? answer : {}
    } catch (error) {
      if (faultKind(error) === 'Unsupported') return {}
      throw error
    }
  }
  // Commands are sent one after the other: an agent executes one at a time.
  const { version } = await ask('guest-info')
  const os = await ask('guest-get-osinfo')
  const hostname = textOf((await ask('guest-get-host-name'))['host-name'])
  const { zone, offset } = await ask('guest-get-timezone')
  const known = Object.entries(osFields).flatMap(([field, name]) => {
    const text = textOf(os[name])
    return text === undefined ? [] : [[field, text]]
  })
  const agentVersion = textOf(version)
  return {
    os: Object.fromEntries(known),
    agent: {
      ...(agentVersion !== undefined && { version: agentVersion }),
      ...(hostname !== undefined && { hostname }),
      // In KubeVirt's format.
      ...(typeof offset === 'number' && { timezone: `${textOf(zone) ?? ''}, ${offset}` }),
    },
  }
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value ? guestText(value) : undefined
}
