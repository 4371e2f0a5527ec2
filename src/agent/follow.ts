import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import { type DesiredNic, desiredNics, wantedNics } from '#core/nic/desired.ts'
import { execute, type Report } from '#core/nic/execute.ts'
import { planNics, type Step } from '#core/nic/plan.ts'
import type { ObservedDomain, SandboxState } from '#core/ports.ts'
import type { Trouble } from '#core/vm/running.ts'
import type { Judgement } from './links.ts'
import { tellChanges, writePod } from './report.ts'
import { nicDriver, withFreshNetworks } from './rewire.ts'
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
 * Makes a running guest's interfaces what the spec says: links first, then what leaves, then what moves and what comes, for
 * which the sandbox must get the network before the guest gets the card. What fails concerns its own interface alone. Networks
 * that neither the spec nor the guest has any more are given back.
 */
export async function follow(tools: InstanceTools, running: Running, signal: AbortSignal): Promise<Followed> {
  const { pod, vmi, domain, links } = running
  const isDeaf = ({ name }: { name: string }) => running.sandbox.deaf.includes(name)
  const observed = domain.nics.map((nic) => (isDeaf(nic) ? { ...nic, isDeaf: true } : nic))
  const plan = planNics(withKept(wantedNics(vmi.spec, vmi.metadata.namespace ?? 'default'), links), observed)
  const { steps, resting } = due(
    tools,
    running,
    plan.steps.filter((step) => isForHere(tools, running, step)),
  )
  const networked = steps.filter((step) => step.do === 'plug' || step.do === 'rewire')
  const others = steps.filter((step) => !networked.includes(step))
  let { sandbox } = running
  if (steps.length) tools.log.info({ domain: nameOf(vmi), steps: steps.map(textOf) }, 'Changing guest')
  const start = performance.now()
  const first = await execute({ steps: others, needs: [] }, nicDriver(tools, running), signal)
  if (first.done.some(({ changed }) => changed.includes('link'))) tools.onApplied((performance.now() - start) / 1000)
  let second: Report = { done: [], failed: [] }
  if (networked.length) {
    const now = others.length ? await sandbox.hypervisor.observe(signal) : undefined
    if (now) await running.report(now)
    ;({ sandbox, report: second } = await moveAndPlug(tools, running, networked, resting, signal))
  }
  const done = [...first.done, ...second.done]
  const failed = [...first.failed, ...second.failed, ...resting]
  const aborted = failed.find(({ cause }) => faultKind(cause) === 'Aborted')
  if (aborted) throw aborted.cause
  learn(tools, running, done, [...first.failed, ...second.failed])
  const after = steps.length ? await sandbox.hypervisor.observe(signal) : domain
  if (after && steps.length) {
    tools.links.saw(pod.metadata.uid ?? '', after.nics)
    tools.guests.ask(pod.metadata.uid ?? '')
  }
  tellChanges(tools, vmi, done, links)
  if (after) sandbox = await giveBack(tools, { ...running, sandbox, domain: after }, signal)
  if (networked.length || sandbox !== running.sandbox) await writePod(tools, pod, vmi, sandbox)
  const { leftovers } = sandbox
  return { sandbox, domain: after, trouble: troubleOf(failed, leftovers), failure: failed[0]?.cause ?? leftovers[0] }
}

/**
 * Where networks come by migration, a running sandbox keeps those it has: cards on them may be plugged, and that is all. The
 * rest is what the condition MigrationRequired tells of.
 */
function isForHere(tools: InstanceTools, { sandbox }: Running, { do: what, nic }: Step): boolean {
  if (tools.attachmentMode() === 'InPlace') return true
  return what === 'plug' ? sandbox.networks.get(nic.name) === nic.network : what !== 'rewire'
}

/** A link that is to stay as it was found is as good as wanted so. */
function withKept(wanted: readonly DesiredNic[], { kept }: Judgement): DesiredNic[] {
  const found = new Map(kept.map((one) => [one.nic, one.found]))
  return wanted.map((nic) => ({ ...nic, link: found.get(nic.name) ?? nic.link }))
}

/** All that a step that fails depends on: whatever changes of it is a reason to try again at once. */
function wishOf(tools: InstanceTools, { domain }: Running, { do: what, nic }: Step): string {
  return JSON.stringify([what, nic.network, tools.configOf(nic.network), domain.state])
}

/** Splits steps into those to be tried now, and those that failed lately and rest, with what made them fail. */
function due(tools: InstanceTools, running: Running, all: readonly Step[]) {
  const uid = running.pod.metadata.uid ?? ''
  const resting = all.flatMap((step): Report['failed'] => {
    const failure = step.do !== 'update' && tools.patience.resting(uid, step.nic.name, wishOf(tools, running, step))
    return failure ? [{ step, cause: failure.cause }] : []
  })
  return { steps: all.filter((step) => !resting.some((one) => one.step === step)), resting }
}

function learn(tools: InstanceTools, running: Running, done: readonly Step[], failed: Report['failed']): void {
  const uid = running.pod.metadata.uid ?? ''
  for (const step of done) if (step.do !== 'update') tools.patience.succeeded(uid, step.nic.name)
  for (const { step, cause } of failed)
    if (step.do !== 'update') tools.patience.failed(uid, step.nic.name, wishOf(tools, running, step), cause)
}

/** Moves cards to other networks, then attaches networks to the sandbox and plugs the cards whose networks came. */
async function moveAndPlug(
  tools: InstanceTools,
  running: Running,
  steps: readonly Step[],
  resting: Report['failed'],
  signal: AbortSignal,
): Promise<{ sandbox: SandboxState; report: Report }> {
  const { pod, vmi } = running
  const moves = steps.filter((step) => step.do === 'rewire')
  const plugs = steps.filter((step) => step.do === 'plug')
  const moved = await execute({ steps: moves, needs: [] }, nicDriver(tools, running), signal)
  // Also looks after what a move has left behind.
  const names = new Set(plugs.map(({ nic }) => nic.name))
  const later = new Set(resting.filter(({ step }) => step.do === 'plug').map(({ step }) => step.nic.name))
  const isInPlace = tools.attachmentMode() === 'InPlace'
  const isMeant = ({ name }: DesiredNic) => (isInPlace && !later.has(name)) || running.sandbox.attached.has(name)
  const ensured = await ensure(tools, pod, vmi, signal, isMeant)
  const sandbox = await withFreshNetworks(tools, running, names, ensured, signal)
  const isReady = ({ nic }: Step) => !sandbox.failed.has(nic.name)
  const plugged = await execute(
    { steps: plugs.filter(isReady), needs: [] },
    nicDriver(tools, { ...running, sandbox }),
    signal,
  )
  const unready = plugs
    .filter((step) => !isReady(step))
    .map((step) => ({ step, cause: sandbox.failed.get(step.nic.name) }))
  return {
    sandbox,
    report: { done: [...moved.done, ...plugged.done], failed: [...moved.failed, ...plugged.failed, ...unready] },
  }
}

/** Releases networks that nobody has any use for: the guest let go of them, or never got them. */
async function giveBack(
  tools: InstanceTools,
  { pod, vmi, sandbox, domain }: Running,
  signal: AbortSignal,
): Promise<SandboxState> {
  if (tools.attachmentMode() === 'Migration') return sandbox
  const inUse = new Set([
    ...desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default').map(({ name }) => name),
    ...domain.nics.map(({ name }) => name),
  ])
  const left = [...sandbox.attached].filter((name) => !inUse.has(name))
  if (!left.length) return sandbox
  try {
    await tools.sandboxes.release(pod.metadata.uid ?? '', left, signal)
  } catch (fault) {
    if (faultKind(fault) === 'Aborted') throw fault
    // It stays in the status, and so in the specs, until it can be given back.
    return { ...sandbox, leftovers: [...sandbox.leftovers, fault] }
  }
  return { ...sandbox, attached: new Set([...sandbox.attached].filter((name) => inUse.has(name))) }
}

/** What went wrong, in one condition; plugging has an Event reason of its own (facts/kubevirt.md §3.7). */
function troubleOf(failed: Report['failed'], leftovers: SandboxState['leftovers']): Trouble | undefined {
  if (!failed.length && !leftovers.length) return undefined
  const message = [
    ...failed.map(({ step, cause }) => sentenceOf(step, cause)),
    ...leftovers.map((cause) => `a network that was left cannot be given back: ${explain(cause)}`),
  ].join('; ')
  const isPlugging = leftovers.length > 0 || failed.some(({ step }) => step.do !== 'update')
  return {
    reason: 'Synchronizing with the Domain failed.',
    message,
    ...(isPlugging && { event: 'NicHotplug' }),
  }
}

function sentenceOf({ do: what, nic, from }: Step, cause: unknown): string {
  if (what === 'update') return explain(cause)
  if (what !== 'rewire') return `interface "${nic.name}" cannot be ${what}ged: ${explain(cause)}`
  const remedy = `it is tried again and again; mend that network, or set networkName back to ${from}`
  return `interface "${nic.name}" cannot be moved to network ${nic.network} and stays on ${from}: ${explain(cause)} (${remedy})`
}

function textOf({ do: what, nic, changed, from }: Step): string {
  const way = from === undefined ? '' : `${from} -> ${nic.network}`
  return [what, nic.name, changed.join(), nic.link, way].filter(Boolean).join(' ')
}
