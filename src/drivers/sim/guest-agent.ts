import { Fault } from '#base/fault.ts'
import type { Nic } from '#core/nic/nic.ts'
import type { GuestInterface } from '#core/nic/status.ts'
import type { GuestAccounts, GuestAgent } from '#core/ports.ts'

/** The users of a simulated guest, by name. */
export type SimAccounts = Map<string, Readonly<{ keys: readonly string[]; password?: string }>>

/** What sets the users of a simulated guest. There is none called `missing`. */
function simAccounts(accounts: SimAccounts): GuestAccounts {
  const known = (user: string) => {
    if (user === 'missing') throw new Fault('Unavailable', 'There is no such user in the guest')
    return accounts.get(user) ?? { keys: [] }
  }
  return {
    setAuthorizedKeys: async (user, keys) => void accounts.set(user, { ...known(user), keys }),
    setPassword: async (user, password) => void accounts.set(user, { ...known(user), password }),
  }
}

/** What the agent of a simulated guest reports. */
type Guest = Readonly<{
  nics: ReadonlyMap<string, Pick<Nic, 'name' | 'mac'>>
  ips: ReadonlyMap<string, readonly string[]>
  /** Number of network devices that the guest itself has made. */
  guestOnly: number
  domain: Readonly<{ name: string }> | undefined
  accounts: SimAccounts
}>

/** The agent of a simulated guest. */
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
    ...simAccounts(sandbox.accounts),
  }
}
