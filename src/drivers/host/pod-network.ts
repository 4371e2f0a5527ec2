import { readFile } from 'node:fs/promises'
import { run } from './run.ts'

/** The network of all default interfaces: its bridge on this host, and the addresses of this node's pods. */
export type PodNetwork = Readonly<{ bridge: string; subnet: string }>

const usualBridge = 'patchbay0'

/** The pod network of a new data directory without options. */
export const defaultPodNetwork: PodNetwork = { bridge: usualBridge, subnet: '10.244.0.0/23' }

/** The pod network of data directories of versions that did not record it. */
export const formerPodNetwork: PodNetwork = { bridge: usualBridge, subnet: '10.244.0.0/24' }

/** Number of pods with an address: without the gateway's, and the first and last address of the network. */
export function podsIn(subnet: string): number {
  return 2 ** (32 - Number(subnet.split('/')[1])) - 3
}

/** The table with Patchbay's packet filter rules in the host's namespace. Two servers on one host have different ones. */
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
 * The rules that translate packets from the pod network to the host's addresses: one rule for all pods. (The bridge plugin's
 * ipMasq makes chains for each sandbox and takes twenty times as long.)
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

/** Removes Patchbay's packet filter rules on the host. */
export async function removeOutboundNat(network: PodNetwork, signal: AbortSignal): Promise<void> {
  const table = hostTable(network)
  await run('nft', ['-f', '-'], { input: `table ip ${table}\ndelete table ip ${table}\n`, signal })
}

/** The host's name servers that a guest can reach: those that are not on the loopback. */
export async function nameServers(): Promise<string[]> {
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
  return [...text.matchAll(/^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/gm)]
    .map((match) => match[1]!)
    .filter((address) => !address.startsWith('127.'))
}
