import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import { desiredNics, wantedNics } from '#core/nic/desired.ts'
import { execute, type Report } from '#core/nic/execute.ts'
import { planNics, type Step } from '#core/nic/plan.ts'
import type { ObservedDomain, SandboxState } from '#core/ports.ts'
import type { Trouble } from '#core/vm/running.ts'
import type { Judgement } from './links.ts'
import { tellChanges, writePod } from './report.ts'
import { ensure, type InstanceTools, nameOf } from './tools.ts'

/** A running guest and what surrounds it. */
type Running = Readonly<{
  pod: Pod
  vmi: VirtualMachineInstance
  sandbox: SandboxState
  domain: ObservedDomain
  links: Judgement
  /** Writes down what has been done so far, before something that takes its time. */
  report: (domain: ObservedDomain) => Promise<unknown>
}>

/** What became of a guest. */
export type Followed = Readonly<{
  sandbox: SandboxState
  domain: ObservedDomain | undefined
  trouble: Trouble | undefined
  failure: unknown
}>

/**
 * Makes a running guest's interfaces what the spec says: links first, then what leaves, then what comes, for which the
 * sandbox must get the network before the guest gets the card. What fails concerns its own interface alone. Networks that
 * neither the spec nor the guest has any more are given back.
 */
export async function follow(tools: InstanceTools, running: Running, signal: AbortSignal): Promise<Followed> {
  const { pod, vmi, domain, links } = running
  const namespace = vmi.metadata.namespace ?? 'default'
  const kept = new Set(links.kept.map(({ nic }) => nic))
  const plan = planNics(wantedNics(vmi.spec, namespace), domain.nics)
  const steps = plan.steps.filter(({ nic }) => !kept.has(nic.name))
  const plugs = steps.filter((step) => step.do === 'plug')
  const others = steps.filter((step) => step.do !== 'plug')
  let { sandbox } = running
  if (steps.length) tools.log.info({ domain: nameOf(vmi), steps: steps.map(textOf) }, 'Changing guest')
  const start = performance.now()
  const first = await execute({ ...plan, steps: others }, sandbox.hypervisor, signal)
  if (first.done.some(({ changed }) => changed.includes('link'))) tools.onApplied((performance.now() - start) / 1000)
  let second: Report = { done: [], failed: [] }
  if (plugs.length) {
    const now = others.length ? await sandbox.hypervisor.observe(signal) : undefined
    if (now) await running.report(now)
    ;({ sandbox, report: second } = await plug(tools, running, plugs, signal))
  }
  const done = [...first.done, ...second.done]
  const failed = [...first.failed, ...second.failed]
  const aborted = failed.find(({ cause }) => faultKind(cause) === 'Aborted')
  if (aborted) throw aborted.cause
  const after = steps.length ? await sandbox.hypervisor.observe(signal) : domain
  if (after && steps.length) {
    tools.links.saw(pod.metadata.uid ?? '', after.nics)
    tools.guests.ask(pod.metadata.uid ?? '', sandbox.hypervisor)
  }
  tellChanges(tools, vmi, done, links)
  if (after) sandbox = await giveBack(tools, { ...running, sandbox, domain: after }, signal)
  if (plugs.length || sandbox !== running.sandbox) await writePod(tools, pod, vmi, sandbox)
  return { sandbox, domain: after, trouble: troubleOf(failed), failure: failed[0]?.cause }
}

/** Attaches networks to the sandbox and plugs the cards whose networks came. */
async function plug(
  tools: InstanceTools,
  { pod, vmi }: Running,
  plugs: readonly Step[],
  signal: AbortSignal,
): Promise<{ sandbox: SandboxState; report: Report }> {
  const sandbox = await ensure(tools, pod, vmi, signal)
  const isReady = ({ nic }: Step) => !sandbox.failed.has(nic.name)
  const report = await execute({ steps: plugs.filter(isReady), needs: [] }, sandbox.hypervisor, signal)
  const unready = plugs
    .filter((step) => !isReady(step))
    .map((step) => ({ step, cause: sandbox.failed.get(step.nic.name) }))
  return { sandbox, report: { done: report.done, failed: [...report.failed, ...unready] } }
}

/** Releases networks that nobody has any use for: the guest let go of them, or never got them. */
async function giveBack(
  tools: InstanceTools,
  { pod, vmi, sandbox, domain }: Running,
  signal: AbortSignal,
): Promise<SandboxState> {
  const inUse = new Set([
    ...desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default').map(({ name }) => name),
    ...domain.nics.map(({ name }) => name),
  ])
  const left = [...sandbox.attached].filter((name) => !inUse.has(name))
  if (!left.length) return sandbox
  await tools.sandboxes.release(pod.metadata.uid ?? '', left, signal)
  return { ...sandbox, attached: new Set([...sandbox.attached].filter((name) => inUse.has(name))) }
}

/** What went wrong, in one condition; plugging has an Event reason of its own (facts/kubevirt.md §3.7). */
function troubleOf(failed: Report['failed']): Trouble | undefined {
  if (!failed.length) return undefined
  const message = failed.map(({ step, cause }) => sentenceOf(step, cause)).join('; ')
  const isPlugging = failed.some(({ step }) => step.do !== 'update')
  return {
    reason: 'Synchronizing with the Domain failed.',
    message,
    ...(isPlugging && { event: 'NicHotplug' }),
  }
}

function sentenceOf({ do: what, nic }: Step, cause: unknown): string {
  return what === 'update' ? explain(cause) : `interface "${nic.name}" cannot be ${what}ged: ${explain(cause)}`
}

function textOf({ do: what, nic, changed }: Step): string {
  return [what, nic.name, changed.join(), nic.link].filter(Boolean).join(' ')
}
