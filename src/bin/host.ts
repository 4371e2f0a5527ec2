import { cpus, release, totalmem } from 'node:os'
import type { NodeFacts } from '#agent/agent.ts'
import { startAgent } from '#agent/agent.ts'
import type { Log } from '#base/log.ts'
import { version } from '#base/version.ts'
import type { Images, Sandboxes } from '#core/ports.ts'
import { SimSandboxes } from '#drivers/sim/sandboxes.ts'
import type { Client } from '#machinery/client/client.ts'
import type { DataDir } from './data-dir.ts'

type HostOptions = Readonly<{ client: Client; dir: DataDir; nodeName: string; simulate: boolean; log: Log; signal: AbortSignal }>

/** Starts the agent over this host, or over one in memory. */
export async function startHost(options: HostOptions): Promise<{ stop(): Promise<void> }> {
  const { client, nodeName, log, signal } = options
  const drivers: Drivers = simulated()
  const agent = await startAgent({ client, node: nodeFacts(nodeName, {}), ...drivers, log, signal })
  return { stop: () => agent.stop() }
}

type Drivers = Readonly<{ sandboxes: Sandboxes; images: Images; onImage: (listener: () => void) => void }>

function simulated(): Drivers {
  return { sandboxes: new SimSandboxes(), images: { has: async () => true }, onImage: () => undefined }
}

function nodeFacts(name: string, labels: Record<string, string>): NodeFacts {
  return {
    name,
    labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', 'kubevirt.io/schedulable': 'true', ...labels },
    info: { kubeletVersion: `patchbay-${version}`, kernelVersion: release(), operatingSystem: 'linux', architecture: process.arch },
    capacity: { cpu: String(cpus().length), memory: `${Math.floor(totalmem() / 1024)}Ki`, pods: '1000' },
  }
}
