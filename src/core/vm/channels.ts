import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import type { Verdict } from './actions.ts'
import { isTrue } from './conditions.ts'

/** Whether streams into a guest can be opened, in KubeVirt's words (facts/disks.md §B). */

const bad = (text: string) => ({ refuse: 'BadRequest', text }) as const
const conflict = (text: string) => ({ refuse: 'Conflict', text }) as const

export const noSerial = 'No serial consoles are present.'
export const noGraphics = 'No graphics devices are present.'

/** Whether an instance has a guest now, running or paused. */
export function hasGuest({ status }: Pick<VirtualMachineInstance, 'status'>): boolean {
  return status?.phase === 'Running'
}

export function consoleVerdict(vmi: VirtualMachineInstance): Verdict {
  if (vmi.spec.domain.devices.autoattachSerialConsole === false) return bad(noSerial)
  if (vmi.status?.phase === 'Failed') return conflict('VMI is in failed status')
  return hasGuest(vmi) ? {} : bad('VMI is not running')
}

export function screenVerdict(vmi: VirtualMachineInstance): Verdict {
  if (vmi.spec.domain.devices.autoattachGraphicsDevice === false) return bad(noGraphics)
  return hasGuest(vmi) ? {} : bad('VMI is not running')
}

export function forwardVerdict(vmi: VirtualMachineInstance): Verdict {
  if (!hasGuest(vmi)) return bad('VMI is not running')
  if (isTrue(vmi.status?.conditions, 'Paused')) return conflict('VMI is paused')
  return vmi.spec.domain.devices.interfaces?.length ? {} : bad('no network interfaces are present')
}

/** Where a port-forward goes, or why nowhere. */
export function forwardTarget(
  args: readonly string[],
): Readonly<{ port: number; protocol: 'tcp' | 'udp' }> | Readonly<{ refuse: string }> {
  const [text = '', protocol = 'tcp'] = args
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) return { refuse: `the port ${JSON.stringify(text)} is no number from 1 to 65535` }
  if (protocol === 'tcp' || protocol === 'udp') return { port, protocol }
  return { refuse: `the protocol ${JSON.stringify(protocol)} is neither tcp nor udp` }
}
