import { must } from '../tools/stage/program.ts'

/**
 * Puts us on a bridge of the host beside a guest's card. Whom an address belongs to is written down, and the bridge keeps the
 * address it has, which else would be that of one of its ports: what is measured is when the guest answers, not when somebody
 * asks again for who is who.
 */
export async function joinBridge(bridge: string, subnet: string, mac: string): Promise<void> {
  const [link] = JSON.parse(await must('ip', ['-j', 'link', 'show', bridge])) as { address: string }[]
  await must('ip', ['link', 'set', bridge, 'address', link!.address])
  await must('ip', ['addr', 'replace', `${subnet}.254/24`, 'dev', bridge])
  await must('ip', ['neigh', 'replace', `${subnet}.1`, 'lladdr', mac, 'dev', bridge, 'nud', 'permanent'])
}

/** Gives a guest its address in such subnets: a shell line to run there. */
export function addressLine(mac: string, subnets: readonly string[]): string {
  const adds = subnets.map((subnet) => `ip addr add ${subnet}.1/24 dev $d`).join('; ')
  return `d=$(cd /sys/class/net; grep -l ${mac} eth*/address | cut -d/ -f1); ${adds}`
}
