import { Fault } from '#base/fault.ts'
import type { ObservedNic } from '#core/nic/nic.ts'
import type { GuestInterface } from '#core/nic/status.ts'
import type { GuestAgent } from '#core/ports.ts'
import type { DomainSpec } from '#core/vm/domain.ts'

type Guest = Readonly<{
  domain: DomainSpec | undefined
  nics: ReadonlyMap<string, ObservedNic>
  ips: ReadonlyMap<string, readonly string[]>
  /** Number of network devices that it has made itself. */
  guestOnly: number
}>

/** The agent in a simulated guest. */
export function simGuestAgent(sandbox: Guest): GuestAgent {
  return {
    async interfaces(): Promise<readonly GuestInterface[]> {
      const others = Array.from({ length: sandbox.guestOnly }, (_, i) => ({
        name: `veth${i}`,
        mac: `0a:00:00:00:00:${(16 + i).toString(16)}`,
        ips: [],
      }))
      const own = [...sandbox.nics.values()].map(({ name, mac }, i) => ({
        name: `eth${i}`,
        mac,
        ips: sandbox.ips.get(name) ?? [],
      }))
      return [...own, ...others]
    },
    async info() {
      const os = { name: 'Simulated', id: 'sim', kernelRelease: '0', machine: 'x86_64' }
      return { os, agent: { version: '0', hostname: sandbox.domain?.name ?? '', timezone: 'UTC, 0' } }
    },
    async ping() {
      if (!sandbox.domain) throw new Fault('Unavailable', 'The guest is gone')
    },
    execute: async (command) => (command[0] === 'false' ? 1 : 0),
  }
}
