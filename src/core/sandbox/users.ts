import type { Pod } from '#apis/core/pod.ts'

/** The users (uids of the host) that guests may run as, both ends included. */
export type UserRange = Readonly<{ first: number; last: number }>

/**
 * Users of each guest: the one its QEMU runs as, and the next one, which its DHCP server runs as. Neither can look into the
 * other, nor into those of another guest.
 */
const usersPerGuest = 2

/** Numbers that neither distributions nor systemd give to anybody. */
export const defaultUsers: UserRange = { first: 1_900_000_000, last: 1_900_131_071 }

/** What the processes of a pod's guest run as; undefined for pods made before each guest had users of its own. */
export function userOf(pod: Pod | undefined): number | undefined {
  return pod?.spec.securityContext?.runAsUser
}

/** The DHCP server's user, by that of its guest. */
export function dhcpUserOf(user: number): number {
  return user + 1
}

/**
 * The next users that are not `taken`, after `before`: what was given last comes last again, so that processes that end late
 * share with nobody. Undefined when the range is used up.
 */
export function nextUser(
  range: UserRange,
  taken: Pick<ReadonlyMap<number, unknown>, 'has' | 'size'>,
  before: number | undefined,
): number | undefined {
  const count = Math.floor((range.last - range.first + 1) / usersPerGuest)
  const start = before === undefined ? 0 : (before - range.first) / usersPerGuest + 1
  for (let i = 0; i < Math.min(taken.size + 1, count); i++) {
    const user = range.first + ((start + i) % count) * usersPerGuest
    if (!taken.has(user)) return user
  }
  return undefined
}
