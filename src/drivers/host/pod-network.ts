import { readFile } from 'node:fs/promises'
import { run } from './run.ts'

/** The network every sandbox's default interface is on: its bridge on this host, and the addresses of this node's pods. */
export type PodNetwork = Readonly<{ bridge: string; subnet: string }>

const usualBridge = 'patchbay0'

/** That of a data directory which says nothing else. */
export const defaultPodNetwork: PodNetwork = { bridge: usualBridge, subnet: '10.244.0.0/23' }

/** That of data directories from before they said so themselves. */
export const formerPodNetwork: PodNetwork = { bridge: usualBridge, subnet: '10.244.0.0/24' }

/** How many pods there are addresses for: the first is the gateway's, the first and last of a network are nobody's. */
export function podsIn(subnet: string): number {
  return 2 ** (32 - Number(subnet.split('/')[1])) - 3
}

/** The table that holds all packet filter rules of ours in the host's own namespace: two servers on one host have one each. */
export function hostTable({ bridge }: PodNetwork): string {
  return bridge === usualBridge ? 'patchbay' : `patchbay-${bridge}`
}

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
 * Rules that let the pod network out through the host's own addresses: one for all, in a table of ours. (The bridge plugin's
 * own ipMasq makes chains per sandbox and takes twenty times as long.)
 */
export function outboundNat(network: PodNetwork): string {
  const table = hostTable(network)
  return `table ip ${table}
delete table ip ${table}
table ip ${table} {
  chain post { type nat hook postrouting priority srcnat
    ip saddr ${network.subnet} oifname != "${network.bridge}" masquerade
  }
}
`
}

/** Takes our packet filter rules away. */
export async function removeOutboundNat(network: PodNetwork, signal: AbortSignal): Promise<void> {
  const table = hostTable(network)
  await run('nft', ['-f', '-'], { input: `table ip ${table}\ndelete table ip ${table}\n`, signal })
}

/** Name servers a guest can reach: the host's own, but not those on its loopback. */
export async function nameServers(): Promise<string[]> {
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
  return [...text.matchAll(/^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/gm)]
    .map((match) => match[1]!)
    .filter((address) => !address.startsWith('127.'))
}
