import { readFile } from 'node:fs/promises'
import { arch, networkInterfaces, release } from 'node:os'
import { run } from './run.ts'

/** What a Node's `status.nodeInfo` says of its host, as kubelet fills it; clients read every field of it. */
export type NodeInfo = Readonly<Record<NodeField, string>>

type NodeField =
  | 'machineID'
  | 'systemUUID'
  | 'bootID'
  | 'kernelVersion'
  | 'osImage'
  | 'containerRuntimeVersion'
  | 'kubeletVersion'
  | 'kubeProxyVersion'
  | 'operatingSystem'
  | 'architecture'

/** An address of a node, as Kubernetes has them. */
export type NodeAddress = Readonly<{ type: 'InternalIP' | 'Hostname'; address: string }>

/** The names of processor architectures in Kubernetes, where they are not Node's. */
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

/**
 * What is known of this host. `kubelet` is the version of Patchbay's agent, which does a kubelet's work; `runtime` tells what runs
 * guests, as `NAME://VERSION`. Containers may lack any of the files: the field is empty then.
 */
export async function nodeInfo(kubelet: string, runtime: string, read = readIfAny): Promise<NodeInfo> {
  const [machine, product, boot, os] = await Promise.all([
    read('/etc/machine-id'),
    read('/sys/class/dmi/id/product_uuid'),
    read('/proc/sys/kernel/random/boot_id'),
    read('/etc/os-release'),
  ])
  return {
    machineID: machine,
    systemUUID: product || machine,
    bootID: boot,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?(.*?)"?$/m.exec(os)?.[1] ?? '',
    containerRuntimeVersion: runtime,
    kubeletVersion: kubelet,
    kubeProxyVersion: kubelet,
    operatingSystem: 'linux',
    architecture: nodeArchitecture(),
  }
}

/** The processor architecture of this host by its name in Kubernetes. */
export function nodeArchitecture(): string {
  return architectures[arch()] ?? arch()
}

/** The version of libvirt on this host, as a container runtime's: `libvirt://9.0.0`; without a version if it cannot be run. */
export async function libvirtVersion(): Promise<string> {
  const text = await run('libvirtd', ['--version']).catch(() => '')
  return `libvirt://${/(\d+\.\d+\.\d+)/.exec(text)?.[1] ?? ''}`
}

/**
 * The addresses of a node: its name, and the first address of a link of the host's own. Links of `bridges`, which hold the
 * addresses of guests' networks, do not count; a host without any other has the loopback's.
 */
export function nodeAddresses(name: string, bridges: ReadonlySet<string>, links = networkInterfaces()): NodeAddress[] {
  const own = Object.entries(links)
    .filter(([link]) => !bridges.has(link))
    .flatMap(([, addresses = []]) => addresses)
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
  return [
    { type: 'InternalIP', address: own[0]?.address ?? '127.0.0.1' },
    { type: 'Hostname', address: name },
  ]
}

async function readIfAny(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).trim()
}
