import { must } from '../tools/stage/program.ts'

/**
 * Puts us on a bridge of the host beside a guest's card. Whom an address belongs to is written down, so that what is measured is
 * when the guest answers, not when somebody asks for it again.
 */
export async function joinBridge(bridge: string, subnet: string, mac: string): Promise<void> {
  await must('ip', ['addr', 'replace', `${subnet}.254/24`, 'dev', bridge])
  await must('ip', ['neigh', 'replace', `${subnet}.1`, 'lladdr', mac, 'dev', bridge, 'nud', 'permanent'])
}

/** Gives a guest its address in such subnets: a shell line to run there. */
export function addressLine(mac: string, subnets: readonly string[]): string {
  const adds = subnets.map((subnet) => `ip addr add ${subnet}.1/24 dev $d`).join('; ')
  return `d=$(cd /sys/class/net; grep -l ${mac} eth*/address | cut -d/ -f1); ${adds}`
}
