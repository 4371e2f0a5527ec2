import type { Caller } from '../../http/shares.ts'
import type { User } from '../strategy.ts'
import { anonymous } from './authenticate.ts'
import { mastersGroup } from './authorizer.ts'

/** Users a part of the server's capacity is kept for: administrators and node agents. */
const reservedGroups: readonly string[] = [mastersGroup, 'system:nodes']

/** Who a user counts as when the server's capacity is shared out; one that is not signed in counts as its address. */
export function callerOf(user: User, address: string): Caller {
  if (user.name === anonymous.name) return { key: `address ${address}`, isReserved: false, isSignedIn: false }
  const isReserved = user.groups.some((group) => reservedGroups.includes(group))
  return { key: `user ${user.name}`, isReserved, isSignedIn: true }
}
