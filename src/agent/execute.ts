import type { Pod } from '#apis/core/pod.ts'
import { explain, Fault, faultKind } from '#base/fault.ts'
import { dependenciesOf, nicDepends } from '#core/instance/depends.ts'
import type { Observation } from '#core/instance/observation.ts'
import {
  cleanupKey,
  diskKey,
  type InstanceStep,
  imageKey,
  ioKey,
  mirrorKey,
  nicKey,
  sandboxKey,
} from '#core/instance/steps.ts'
import { imageDepends } from '#core/instance/volumes.ts'
import type { Step as NicStep } from '#core/nic/plan.ts'
import type { Hypervisor, SandboxState } from '#core/ports.ts'
import { type Again, type AgentContext, nameOf } from './context.ts'
import { migrateAway } from './migration-source.ts'
import { receive } from './migration-target.ts'
import { carryOutRequest } from './power-request.ts'
import { removeSandbox } from './removal.ts'
import { reportEnd } from './report.ts'
import { ensureSandbox } from './sandbox.ts'

/** What a step acts on. */
export type Target = Readonly<{ context: AgentContext; pod: Pod; seen: Observation }>

/** The result of executing steps. */
export type Outcome = Readonly<{
  /** The sandbox as it is now; undefined when it has to be observed again. */
  sandbox: SandboxState | undefined
  /** Changes of interfaces that have been made. */
  done: readonly NicStep[]
  isRequestDone: boolean
  /** The pass ends here. */
  isOver: boolean
  again: Again
}>

type Done = Partial<Outcome> | undefined
/** The step of one kind; several kinds may share a shape. */
type StepOf<D extends InstanceStep['do'], S = InstanceStep> = S extends { do: infer K }
  ? D extends K
    ? S
    : never
  : never
type Act<D extends InstanceStep['do']> = (target: Target, step: StepOf<D>, signal: AbortSignal) => Promise<Done>

/** The effect of each step. */
const acts: { readonly [D in InstanceStep['do']]: Act<D> } = {
  ensure,
  release,
  pull,
  start: async ({ context, seen }, { domain }, signal) => {
    const nics = domain.nics.map(({ name, link }) => `${name} ${link}`)
    context.log.info({ domain: domain.name, memoryKiB: domain.memoryKiB, nics }, 'Starting guest')
    await hypervisorOf(seen).domain.create(domain, signal)
    context.recorder(seen.vmi, 'Normal', 'Started', 'VirtualMachineInstance started.')
    return undefined
  },
  update: async ({ seen }, { nic }, signal) => {
    await hypervisorOf(seen).cards.update(nic.nic, nic.changed, signal)
    return { done: [nic] }
  },
  plug: async ({ context, pod, seen }, { nic }, signal) => {
    await hypervisorOf(seen).cards.plug(nic.nic, signal)
    context.memories.plugged(pod.metadata.uid ?? '', nic.nic.name)
    return { done: [nic] }
  },
  unplug: async ({ context, pod, seen }, { nic }, signal) => {
    context.memories.unplugRequested(pod.metadata.uid ?? '', nic.nic.name)
    await hypervisorOf(seen).cards.unplug(nic.nic, signal)
    return undefined
  },
  rewire: async ({ context, pod }, { nic, attachment, bounce }, signal) => {
    await context.host.networks.rewire(pod.metadata.uid ?? '', attachment, { bounce, link: nic.nic.link }, signal)
    // The next `ensure` releases the network that was left.
    return { done: [nic], sandbox: undefined }
  },
  attachDisk: async ({ context, seen }, { step }, signal) => {
    await hypervisorOf(seen).disks.attach(step.disk, step.alias, signal)
    context.recorder(seen.vmi, 'Normal', 'VolumeReady', `Successfully attach hotplugged volume ${step.name} to VM`)
    return undefined
  },
  detachDisk: async ({ context, pod, seen }, { step }, signal) => {
    context.memories.unplugRequested(pod.metadata.uid ?? '', diskKey(step.name))
    await hypervisorOf(seen).disks.detach(step.alias, signal)
    return undefined
  },
  changeMedium: async ({ context, seen }, { step }, signal) => {
    await hypervisorOf(seen).disks.change(step.disk, step.alias, signal)
    if (step.do === 'insert')
      context.recorder(seen.vmi, 'Normal', 'VolumeReady', `Successfully attach hotplugged volume ${step.name} to VM`)
    else context.recorder(seen.vmi, 'Normal', 'VolumeUnplugged', `Volume ${step.name} has been unplugged from VM`)
    return undefined
  },
  dropFiles: async ({ seen }, { files }, signal) => void (await hypervisorOf(seen).disks.drop(files, signal)),
  pause: async ({ seen }, _, signal) => void (await hypervisorOf(seen).domain.pause(signal)),
  resume: async ({ context, pod, seen }, { isRetry }, signal) => {
    // The next observation shows whether the disk can be written; if not, the next try is later.
    if (isRetry)
      context.memories.failed(pod.metadata.uid ?? '', ioKey, '', new Fault('Unavailable', 'A disk cannot be written'))
    await hypervisorOf(seen).domain.resume(signal)
    return undefined
  },
  power: async ({ context, seen }, _, signal) => {
    await carryOutRequest(context, seen.vmi, hypervisorOf(seen).domain, signal)
    return { isRequestDone: true }
  },
  shutdown: async ({ context, pod, seen }, _, signal) => {
    const uid = pod.metadata.uid ?? ''
    context.memories.shutdownRequested(uid)
    const asking = context.host.lifecycle.hypervisorOf(uid)?.domain.shutdown(signal)
    // The guest is destroyed when its grace period is over.
    await asking?.catch((error: unknown) =>
      context.log.warn({ domain: nameOf(seen.vmi), cause: explain(error) }, 'Cannot request the shutdown of a guest'),
    )
    return undefined
  },
  destroy: async ({ context, pod, seen }, _, signal) => {
    context.log.info({ domain: nameOf(seen.vmi) }, 'Destroying guest that did not shut down in time')
    await context.host.lifecycle.hypervisorOf(pod.metadata.uid ?? '')?.domain.destroy(signal)
    return undefined
  },
  kill: async ({ context, pod, seen }, { cause }) => {
    const about = { domain: nameOf(seen.vmi), cause: explain(cause) }
    context.log.warn(about, 'Killing the process of a guest whose hypervisor does not answer')
    await context.host.processes.kill(pod.metadata.uid ?? '')
    return undefined
  },
  finish: async ({ context, pod, seen }, { end }) => {
    await reportEnd(context, pod, seen.vmi, end)
    return { isOver: true }
  },
  remove: async ({ context, pod, seen }, _, signal) => {
    await removeSandbox(context, pod, seen.vmi, signal)
    return { isOver: true }
  },
  migrate: async ({ context, pod, seen }, _, signal) => {
    return { isOver: true, again: await migrateAway(context, pod, seen.vmi, signal) }
  },
  receive: async ({ context, pod, seen }, { from }, signal) => {
    await receive(context, pod, seen.vmi, from, signal)
    return { isOver: true }
  },
}

/**
 * Executes steps in order. A step that fails does not prevent the others; failures are remembered, and the next plan takes them
 * into account. @throws Fault Aborted
 */
export async function execute(
  target: Target,
  steps: readonly InstanceStep[],
  before: Pick<Outcome, 'sandbox' | 'isRequestDone'>,
  signal: AbortSignal,
): Promise<Outcome> {
  const { context, pod, seen } = target
  const uid = pod.metadata.uid ?? ''
  let outcome: Outcome = { ...before, done: [], isOver: false, again: undefined }
  for (const step of steps) {
    try {
      signal.throwIfAborted()
      const act = acts[step.do] as Act<typeof step.do>
      const { done = [], ...rest } = (await act(target, step as never, signal)) ?? {}
      outcome = { ...outcome, ...rest, done: [...outcome.done, ...done] }
      // `ensure` records the result of each network itself, and a pull its own when it ends.
      if (step.do !== 'ensure' && step.do !== 'pull')
        for (const [key] of dependenciesOf(seen, step)) context.memories.succeeded(uid, key)
    } catch (cause) {
      const dependencies = dependenciesOf(seen, step)
      if (faultKind(cause) === 'Aborted' || signal.aborted || !dependencies.length) throw cause
      const about = { domain: nameOf(seen.vmi), step: step.do, cause: explain(cause) }
      // A bug of Patchbay can only be found by its stack.
      if (faultKind(cause) === 'Bug') context.log.error({ ...about, stack: (cause as Error).stack }, 'Step failed')
      else context.log.debug(about, 'Step failed')
      for (const [key, depends] of dependencies) context.memories.failed(uid, key, depends, cause)
    }
  }
  return outcome
}

async function ensure(
  { context, pod, seen }: Target,
  { attachments, optional, plugs }: StepOf<'ensure'>,
  signal: AbortSignal,
): Promise<Done> {
  const uid = pod.metadata.uid ?? ''
  const sandbox = await ensureSandbox(context, pod, seen.vmi, { attachments, optional }, signal)
  context.memories.lostTaps(uid, sandbox.deaf)
  const failed = plugs.filter(({ nic }) => sandbox.failed.has(nic.name))
  for (const one of failed)
    context.memories.failed(uid, nicKey(one), nicDepends(seen, one), sandbox.failed.get(one.nic.name))
  if (!plugs.length) context.memories.succeeded(uid, sandboxKey)
  const [leftover] = sandbox.pendingCleanup
  if (leftover === undefined) context.memories.succeeded(uid, cleanupKey)
  else context.memories.failed(uid, cleanupKey, '', leftover)
  const [unmirrored] = sandbox.unmirrored.values()
  if (unmirrored === undefined) context.memories.succeeded(uid, mirrorKey)
  else context.memories.failed(uid, mirrorKey, '', unmirrored)
  return { sandbox }
}

/** Begins to pull an image; the pass goes on when it has ended. */
async function pull({ context, pod, seen }: Target, { wanted, pull }: StepOf<'pull'>): Promise<Done> {
  const { pulls, diskImages, memories, recorder, log, signal } = context
  const uid = pod.metadata.uid ?? ''
  const { reference, volume } = wanted
  const start = performance.now()
  log.info({ domain: nameOf(seen.vmi), image: reference }, 'Pulling image')
  recorder(seen.vmi, 'Normal', 'Pulling', `Pulling image "${reference}"`)
  pulls.start(
    uid,
    volume,
    () => diskImages.pull(pull, signal),
    (ended) => {
      const seconds = ((performance.now() - start) / 1000).toFixed(1)
      if ('cause' in ended) memories.failed(uid, imageKey(wanted), imageDepends(wanted), ended.cause)
      else recorder(seen.vmi, 'Normal', 'Pulled', `Successfully pulled image "${reference}" in ${seconds}s`)
      context.again(pod)
    },
  )
  return undefined
}

async function release(
  { context, pod, seen }: Target,
  { names }: StepOf<'release'>,
  signal: AbortSignal,
): Promise<Done> {
  await context.host.networks.release(pod.metadata.uid ?? '', names, signal)
  const { sandbox } = seen
  if (!sandbox) return undefined
  const without = <T>(map: ReadonlyMap<string, T>) => new Map([...map].filter(([name]) => !names.includes(name)))
  const attached = new Set([...sandbox.attached].filter((name) => !names.includes(name)))
  return { sandbox: { ...sandbox, attached, ips: without(sandbox.ips), networks: without(sandbox.networks) } }
}

/** The hypervisor of the observed sandbox. @throws Fault Bug without one: a plan has such steps only for a sandbox that was observed */
function hypervisorOf({ sandbox }: Observation): Hypervisor {
  if (!sandbox) throw new Fault('Bug', 'A step about a guest was planned without its sandbox')
  return sandbox.hypervisor
}
