import { readFile } from 'node:fs/promises'
import { podSubnet } from '#core/nic/nic.ts'
import { run } from './run.ts'

/** The network every sandbox's default interface is on. */
export type PodNetwork = Readonly<{ bridge: string; subnet: string }>

export const defaultPodNetwork: PodNetwork = { bridge: 'patchbay0', subnet: podSubnet }

/** The table that holds all our packet filter rules of the host's own namespace. */
const table = 'patchbay'

/** CNI configuration of the pod network. */
export function podNetworkConfig({ bridge, subnet }: PodNetwork): string {
  return JSON.stringify({
    cniVersion: '0.4.0',
    name: 'patchbay-pod',
    type: 'bridge',
    bridge,
    isGateway: true,
    ipMasq: false,
    ipam: { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
  })
}

/**
 * Lets the pod network out through the host's own addresses: one rule for all, in a table of ours. (The bridge plugin's own
 * ipMasq makes chains per sandbox and takes twenty times as long.)
 */
export async function ensureOutboundNat({ bridge, subnet }: PodNetwork, signal: AbortSignal): Promise<void> {
  const rules = `table ip ${table}
delete table ip ${table}
table ip ${table} {
  chain post { type nat hook postrouting priority srcnat
    ip saddr ${subnet} oifname != "${bridge}" masquerade
  }
}
`
  await run('nft', ['-f', '-'], { input: rules, signal })
}

/** Takes our packet filter rules away. */
export async function removeOutboundNat(signal: AbortSignal): Promise<void> {
  await run('nft', ['-f', '-'], { input: `table ip ${table}\ndelete table ip ${table}\n`, signal })
}

/** Name servers a guest can reach: the host's own, but not those on its loopback. */
export async function nameServers(): Promise<string[]> {
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
  return [...text.matchAll(/^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/gm)]
    .map((match) => match[1]!)
    .filter((address) => !address.startsWith('127.'))
}
