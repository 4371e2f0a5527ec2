import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import { homePodName, isMigrating, podRole } from '#core/migration/place.ts'
import { desiredNics, unsupportedInterface } from '#core/nic/desired.ts'
import { podNetwork } from '#core/nic/nic.ts'
import type { Hypervisor, ObservedDomain, SandboxState } from '#core/ports.ts'
import { pausedAnnotation } from '#core/vm/actions.ts'
import { domainSpec } from '#core/vm/domain.ts'
import { isScheduled } from '#core/vm/launcher.ts'
import { isFinal } from '#core/vm/power.ts'
import type { Trouble } from '#core/vm/running.ts'
import { imageMissingReason } from '#core/vm/status.ts'
import { arrivalPass } from './arrival.ts'
import { end, finish, stop } from './ending.ts'
import { follow } from './follow.ts'
import type { Judgement } from './links.ts'
import { isReadyToMove, movingPass } from './moving.ts'
import { ownerOf } from './owner.ts'
import { wholeSandbox } from './patience.ts'
import { followPowerRequest } from './power-request.ts'
import { report, tellDrift, writePod } from './report.ts'
import { withFreshNetworks } from './rewire.ts'
import { type Again, ensureKnown, type InstanceTools, nameOf } from './tools.ts'

/** One pass over one sandbox of this host: brings pod, guest and status closer to what is wanted. */
export async function instancePass(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<Again> {
  const isGoing = pod.metadata.deletionTimestamp !== undefined
  const owner = await ownerOf(tools, pod, vmi)
  // One that is not here yet will be seen to come; a pod that no instance owns is none the agent was given.
  if (!isGoing && (owner.is === 'elsewhere' || owner.is === 'unknown')) return undefined
  const own = owner.is === 'here' ? owner.vmi : undefined
  const role = own && podRole(pod, own)
  // Wherever its guest is, it must be in one place before it can be ended.
  if (own && role === 'home' && isMigrating(own) && (isGoing || own.metadata.deletionTimestamp) && isReadyToMove(own))
    return movingPass(tools, pod, own, true, signal)
  if (isGoing || !own) return end(tools, pod, role === 'home' ? own : undefined, signal)
  if (isFinal(own) || role === 'left') return undefined
  if (role === 'target') {
    const home = tools.podOf(own.metadata.namespace ?? '', homePodName(own))
    return home && arrivalPass(tools, pod, own, home.metadata.uid ?? '', signal)
  }
  // A guest that is to go needs none of its networks any more, and is not kept by one that cannot be had.
  const isBusy = isMigrating(own) && isReadyToMove(own)
  const { deletionTimestamp } = own.metadata
  if (deletionTimestamp && isScheduled(own) && !isBusy)
    return stop(tools, { pod, vmi: own, sinceMs: Date.parse(deletionTimestamp) }, signal)
  const unsupported = unsupportedInterface(own.spec)
  if (unsupported) return report(tools, pod, own, { reason: 'UnsupportedInterface', message: unsupported }, undefined)
  const missing = isScheduled(own) ? undefined : await missingImage(tools, own)
  if (missing) return report(tools, pod, own, missing, undefined)
  const uid = pod.metadata.uid ?? ''
  const wish = wishOf(tools, own)
  const rest = tools.patience.resting(uid, wholeSandbox, wish)
  if (rest) return { againAfterMs: rest.leftMs }
  let sandbox: SandboxState
  try {
    sandbox = await ensureKnown(tools, pod, own, signal)
    tools.patience.succeeded(uid, wholeSandbox)
  } catch (error) {
    if (faultKind(error) === 'Aborted') throw error
    tools.patience.failed(uid, wholeSandbox, wish, error)
    await report(tools, pod, own, { reason: 'FailedSandbox', message: explain(error) }, undefined)
    throw error
  }
  if (isBusy) return movingPass(tools, pod, own, false, signal)
  await writePod(tools, pod, own, sandbox)
  if (!isScheduled(own)) return undefined
  return guestPass(tools, pod, own, sandbox, signal)
}

/** All that decides whether a sandbox can be made: a change of it is a reason to try again at once. */
function wishOf(tools: InstanceTools, { spec, metadata, status }: VirtualMachineInstance): string {
  const networks = desiredNics(spec, metadata.namespace ?? 'default').map(({ network }) => [
    network,
    tools.configOf(network),
  ])
  return JSON.stringify([spec, status?.phase === 'Running', networks])
}

async function guestPass(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  given: SandboxState,
  signal: AbortSignal,
): Promise<Again> {
  let sandbox = given
  const { hypervisor } = sandbox
  const uid = pod.metadata.uid ?? ''
  const { failed } = tools.probes.health(uid)
  if (failed) return stop(tools, { pod, vmi, sinceMs: failed.sinceMs, end: 'crashed' }, signal)
  let domain = await hypervisor.observe(signal)
  let trouble: Trouble | undefined
  let failure: unknown
  let drift: Judgement['kept'] = []
  if (!domain) {
    const ended = await hypervisor.lastEnd(nameOf(vmi))
    if (ended) return finish(tools, pod, vmi, ended)
    if (vmi.status?.phase === 'Running') return finish(tools, pod, vmi, 'crashed')
    sandbox = await withFreshNetworks(tools, { pod, vmi }, sandbox.attached, sandbox, signal)
    ;({ trouble, failure } = await start(tools, vmi, sandbox.hypervisor, signal))
    domain = trouble ? undefined : await sandbox.hypervisor.observe(signal)
  } else {
    const links = tools.links.judge(uid, vmi, desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default'), domain.nics)
    drift = links.kept
    // The truth first, then the remedy: whoever watches the status sees that the link was cut.
    const soFar = (now: ObservedDomain) =>
      report(tools, pod, vmi, undefined, { podIps: sandbox.ips, attached: sandbox.attached, domain: now, drift })
    if (links.fresh.length) {
      tellDrift(tools, vmi, links)
      await soFar(domain)
    }
    const running = { pod, vmi, sandbox, domain, links, report: soFar }
    ;({ trouble, failure, domain, sandbox } = await follow(tools, running, signal))
    domain &&= await followPause(vmi, sandbox.hypervisor, domain, signal)
    if (domain) await followPowerRequest(tools, vmi, sandbox.hypervisor, signal)
  }
  if (domain?.agentConnected && !tools.guests.isAsked(uid)) tools.guests.ask(uid)
  if (domain && !domain.agentConnected) tools.guests.forget(uid)
  if (domain) {
    tools.probes.watch(uid, vmi.spec, targetOf(vmi, sandbox))
    const { namespace = 'default', name } = vmi.metadata
    tools.running.set(uid, { namespace, name, hypervisor: sandbox.hypervisor })
  }
  const { readiness } = tools.probes.health(uid)
  await report(tools, pod, vmi, trouble, {
    podIps: sandbox.ips,
    attached: sandbox.attached,
    domain,
    drift,
    readiness,
  })
  if (failure) throw failure
  return undefined
}

/** Stops or resumes the guest's CPUs when somebody asked for that. One paused by other means is left alone. */
async function followPause(
  vmi: VirtualMachineInstance,
  hypervisor: Hypervisor,
  domain: ObservedDomain,
  signal: AbortSignal,
): Promise<ObservedDomain | undefined> {
  const wish = vmi.metadata.annotations?.[pausedAnnotation]
  if (wish === 'true' && domain.state === 'running') await hypervisor.pause(signal)
  else if (wish === 'false' && domain.state === 'paused') await hypervisor.unpause(signal)
  else return domain
  return hypervisor.observe(signal)
}

/** Whom probes try: the guest, at the address CNI gave its primary interface. */
function targetOf(vmi: VirtualMachineInstance, { ips, hypervisor }: SandboxState) {
  const nics = desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default')
  const primary = nics.find((nic) => nic.primary && nic.network === podNetwork)
  return { ip: primary && ips.get(primary.name)?.[0], hypervisor }
}

/** Why a guest has nothing to boot from. It is looked for before a sandbox is made: one without an image takes no address. */
async function missingImage(tools: InstanceTools, vmi: VirtualMachineInstance): Promise<Trouble | undefined> {
  const image = vmi.spec.domain.firmware?.kernelBoot?.container?.image
  if (image === undefined || (await tools.images.has(image))) return undefined
  const message = `image "${image}" is not on node ${tools.nodeName}; make it with: patchbay image import ${image} DIR (or patchbay image build-demo)`
  return { reason: imageMissingReason, message }
}

type Outcome = { trouble: Trouble | undefined; failure?: unknown }

async function start(
  tools: InstanceTools,
  vmi: VirtualMachineInstance,
  hypervisor: Hypervisor,
  signal: AbortSignal,
): Promise<Outcome> {
  const spec = domainSpec(vmi)
  if ('problem' in spec) return { trouble: { reason: 'InvalidSpec', message: spec.problem } }
  const missing = await missingImage(tools, vmi)
  if (missing) return { trouble: missing }
  try {
    tools.log.info(
      { domain: spec.name, memoryKiB: spec.memoryKiB, nics: spec.nics.map((nic) => `${nic.name} ${nic.link}`) },
      'Starting guest',
    )
    await hypervisor.create(spec, signal)
    tools.recorder(vmi, 'Normal', 'Started', 'VirtualMachineInstance started.')
    return { trouble: undefined }
  } catch (failure) {
    if (faultKind(failure) === 'Aborted') throw failure
    return { trouble: { reason: 'FailedStart', message: `the guest cannot be started: ${explain(failure)}` }, failure }
  }
}
