import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { desiredNics } from '#core/nic/desired.ts'
import type { NicDriver } from '#core/nic/execute.ts'
import { wantsBounce } from '#core/nic/rewire.ts'
import type { SandboxState } from '#core/ports.ts'
import { attachmentsOf } from '#core/sandbox/plan.ts'
import { ensure, type InstanceTools } from './tools.ts'

/** An instance in its sandbox. */
type Housed = Readonly<{ pod: Pod; vmi: VirtualMachineInstance; sandbox: SandboxState }>

/** What carries out a plan: cards are the hypervisor's business, networks under cards the sandbox's. */
export function nicDriver(tools: InstanceTools, { pod, vmi, sandbox: { hypervisor } }: Housed): NicDriver {
  return {
    update: (nic, changed, signal) => hypervisor.update(nic, changed, signal),
    plug: (nic, signal) => hypervisor.plug(nic, signal),
    unplug: (nic, signal) => hypervisor.unplug(nic, signal),
    rewire: async (nic, signal) => {
      const nics = desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default').filter(({ name }) => name === nic.name)
      const [attachment] = attachmentsOf(nics, vmi, tools)
      if (!attachment) return
      const bounce = wantsBounce(vmi.metadata.annotations, tools.annotationsOf(nic.network))
      await tools.sandboxes.rewire(pod.metadata.uid ?? '', attachment, { bounce, link: nic.link }, signal)
    },
  }
}

/**
 * The sandbox with the wanted networks under interfaces that the guest has no card on, `names`: one that was attached for an
 * earlier wish is given back, so that a new card never comes up on it.
 */
export async function withFreshNetworks(
  tools: InstanceTools,
  { pod, vmi }: Omit<Housed, 'sandbox'>,
  names: ReadonlySet<string>,
  sandbox: SandboxState,
  signal: AbortSignal,
): Promise<SandboxState> {
  const stale = desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default').filter(
    ({ name, network }) => names.has(name) && (sandbox.networks.get(name) ?? network) !== network,
  )
  if (!stale.length) return sandbox
  await tools.sandboxes.release(
    pod.metadata.uid ?? '',
    stale.map(({ name }) => name),
    signal,
  )
  return ensure(tools, pod, vmi, signal)
}
