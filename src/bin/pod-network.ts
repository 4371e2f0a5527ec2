import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '#base/fault.ts'
import { exists, readTextIfAny, writeFileAtomic } from '#base/file.ts'
import { isObject, parsedJson } from '#base/json.ts'
import type { Log } from '#base/log.ts'
import { parseCidr } from '#core/nic/cidr.ts'
import { HostBridges } from '#drivers/host/bridges.ts'
import { defaultPodNetwork, formerPodNetwork, type PodNetwork } from '#drivers/host/pod-network.ts'
import { foldersOf } from '#drivers/host/records.ts'
import { requireFree } from '#drivers/host/routes.ts'
import type { DataDir } from './data-dir.ts'

/** The pod network options; omitted ones keep the data directory's values. */
export type PodNetworkOptions = Readonly<{ bridge?: string; subnet?: string }>

/** Longest prefix of a pod network: it has room for one pod. */
const maxPrefix = 30
const minPrefix = 8

/** An option that is the network of this node's pods. @throws Fault Invalid */
export function podCidrOf(option: string, text: string): string {
  const net = parseCidr(text)
  if (net && net.prefix >= minPrefix && net.prefix <= maxPrefix) return text
  throw new Fault(
    'Invalid',
    `${option} ${text} is no IPv4 network of /${minPrefix} to /${maxPrefix} such as ${defaultPodNetwork.subnet} (all bits behind the prefix are 0)`,
  )
}

/** An option that is the name of a bridge. @throws Fault Invalid */
export function podBridgeOf(option: string, text: string): string {
  if (/^[a-z][a-z0-9_.-]{0,14}$/i.test(text)) return text
  throw new Fault(
    'Invalid',
    `${option} ${text} cannot be the name of a bridge; use at most 15 letters, digits, dots, dashes or underscores, a letter first`,
  )
}

/** The pod network stored in a data directory. @throws Fault Invalid for a damaged file */
export async function podNetworkIn(dir: DataDir): Promise<PodNetwork> {
  return (await readNetwork(dir)) ?? ((await isFormer(dir)) ? formerPodNetwork : defaultPodNetwork)
}

/**
 * Sets the pod network of a data directory. Pods keep their addresses, so it only changes while there are none.
 * @throws Fault Invalid when it differs from that of existing pods, and for one that this host uses otherwise
 */
export async function settlePodNetwork(dir: DataDir, options: PodNetworkOptions, log: Log): Promise<PodNetwork> {
  const now = await podNetworkIn(dir)
  const wanted = { ...now, ...options }
  const { uids } = await foldersOf(dir.pods)
  if (uids.length && (wanted.bridge !== now.bridge || wanted.subnet !== now.subnet))
    throw new Fault(
      'Invalid',
      `The ${uids.length} pod(s) of ${dir.root} are on bridge ${now.bridge} with addresses of ${now.subnet}; start without --pod-bridge and --pod-cidr, or end them first: patchbay down --data-dir ${dir.root}`,
    )
  const isOwn = await new HostBridges(dir.host, log).isOwn(wanted.bridge)
  requireFree(wanted, await readFile('/proc/net/route', 'utf8'), isOwn)
  await writeFileAtomic(fileOf(dir), `${JSON.stringify(wanted)}\n`)
  return wanted
}

async function readNetwork(dir: DataDir): Promise<PodNetwork | undefined> {
  const text = await readTextIfAny(fileOf(dir))
  if (text === undefined) return undefined
  const value = parsedJson(text)
  if (
    isObject(value) &&
    typeof value.bridge === 'string' &&
    typeof value.subnet === 'string' &&
    parseCidr(value.subnet)
  )
    return { bridge: value.bridge, subnet: value.subnet }
  throw new Fault('Invalid', `${fileOf(dir)} is damaged; put it back, or remove it if no guest of ${dir.root} runs`)
}

/** Whether guests ran from here before the directory recorded their network. */
async function isFormer(dir: DataDir): Promise<boolean> {
  return (await foldersOf(dir.pods)).uids.length > 0 || (await exists(dir.host))
}

function fileOf(dir: DataDir): string {
  return join(dir.root, 'pod-network.json')
}
