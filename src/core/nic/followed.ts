import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { findCondition } from '../vm/conditions.ts'

/** Whether the guest has the card of an interface, by its status. */
export function isInGuest({ infoSource = '' }: Readonly<{ infoSource?: string }>): boolean {
  return infoSource.includes('domain')
}

/** What keeps an interface, or the instance as a whole, from being as declared; failures of other interfaces are left out. */
export function failureOf(
  running: Pick<VirtualMachineInstance, 'status'> | undefined,
  nic: string,
): string | undefined {
  return failuresOf(running, nic).join('; ') || undefined
}

/** The sentences of a Synchronized condition that are not about another interface. */
export function failuresOf(
  running: Pick<VirtualMachineInstance, 'status'> | undefined,
  nic: string,
): readonly string[] {
  const { message, status } = findCondition(running?.status?.conditions, 'Synchronized') ?? {}
  if (message === undefined || status === 'True') return []
  const isOther = (one: string) => one.startsWith('interface "') && !one.startsWith(`interface "${nic}"`)
  return message.split(/; (?=interface "|a network that was left )/).filter((one) => !isOther(one))
}
