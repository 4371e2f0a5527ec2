import type { Pod } from '#apis/core/pod.ts'

/** The range of users (uids of the host) that guests may run as, inclusive. */
export type UserRange = Readonly<{ first: number; last: number }>

/**
 * Users of each guest: one for its QEMU, and the next one for its DHCP server, so that neither can access the other or the
 * processes of another guest.
 */
const usersPerGuest = 2

/** Numbers that neither distributions nor systemd assign. */
export const defaultUsers: UserRange = { first: 1_900_000_000, last: 1_900_131_071 }

/** The user of a pod's guest; undefined for pods of versions without a user for each guest. */
export function userOf(pod: Pod | undefined): number | undefined {
  return pod?.spec.securityContext?.runAsUser
}

/** The DHCP server's user, by that of its guest. */
export function dhcpUserOf(user: number): number {
  return user + 1
}

/**
 * The next users that are not `taken`, in a cycle after `before`, so that a released user is reused as late as possible:
 * processes may end late. Undefined when all are taken.
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
