import type { Pod } from '#apis/core/pod.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { explain, faultKind } from '#base/fault.ts'
import { desiredNics, unsupportedInterface } from '#core/nic/desired.ts'
import { execute } from '#core/nic/execute.ts'
import { planNics } from '#core/nic/plan.ts'
import type { Hypervisor, ObservedDomain, SandboxState } from '#core/ports.ts'
import { domainSpec } from '#core/vm/domain.ts'
import { isScheduled } from '#core/vm/launcher.ts'
import { isFinal } from '#core/vm/power.ts'
import type { Trouble } from '#core/vm/running.ts'
import { imageMissingReason } from '#core/vm/status.ts'
import { end, finish, stop } from './ending.ts'
import type { Judgement } from './links.ts'
import { report, tellChanges, tellDrift, writePod } from './report.ts'
import { type Again, ensure, type InstanceTools, nameOf } from './tools.ts'

/** One pass over one sandbox of this host: brings pod, guest and status closer to what is wanted. */
export async function instancePass(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<Again> {
  const own = vmi && pod.metadata.ownerReferences?.some((owner) => owner.uid === vmi.metadata.uid) ? vmi : undefined
  if (pod.metadata.deletionTimestamp || !own) return end(tools, pod, own, signal)
  if (isFinal(own)) return undefined
  const unsupported = unsupportedInterface(own.spec)
  if (unsupported) return report(tools, pod, own, { reason: 'UnsupportedInterface', message: unsupported }, undefined)
  let sandbox: SandboxState
  try {
    sandbox = await ensure(tools, pod, own, signal)
  } catch (error) {
    if (faultKind(error) === 'Aborted') throw error
    await report(tools, pod, own, { reason: 'FailedSandbox', message: explain(error) }, undefined)
    throw error
  }
  await writePod(tools, pod, own, sandbox)
  if (!isScheduled(own)) return undefined
  return guestPass(tools, pod, own, sandbox, signal)
}

async function guestPass(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  sandbox: SandboxState,
  signal: AbortSignal,
): Promise<Again> {
  const { hypervisor } = sandbox
  let domain = await hypervisor.observe(signal)
  const { deletionTimestamp } = vmi.metadata
  if (deletionTimestamp)
    return stop(tools, { pod, vmi, hypervisor, domain, sinceMs: Date.parse(deletionTimestamp) }, signal)
  const uid = pod.metadata.uid ?? ''
  const { failed } = tools.probes.health(uid)
  if (failed) return stop(tools, { pod, vmi, hypervisor, domain, sinceMs: failed.sinceMs, end: 'crashed' }, signal)
  const podIps = sandbox.ips
  let trouble: Trouble | undefined
  let failure: unknown
  let drift: Judgement['kept'] = []
  if (!domain) {
    const ended = await hypervisor.lastEnd(nameOf(vmi))
    if (ended) return finish(tools, pod, vmi, ended)
    if (vmi.status?.phase === 'Running') return finish(tools, pod, vmi, 'crashed')
    ;({ trouble, failure } = await start(tools, vmi, hypervisor, signal))
    domain = trouble ? undefined : await hypervisor.observe(signal)
  } else {
    const links = tools.links.judge(uid, vmi, desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default'), domain.nics)
    drift = links.kept
    // The truth first, then the remedy: whoever watches the status sees that the link was cut.
    if (links.fresh.length) {
      tellDrift(tools, vmi, links)
      await report(tools, pod, vmi, undefined, { podIps, domain, drift })
    }
    ;({ trouble, failure, domain } = await follow(tools, vmi, hypervisor, domain, uid, links, signal))
  }
  if (domain?.agentConnected && !tools.guests.isAsked(uid)) tools.guests.ask(uid, hypervisor)
  if (domain && !domain.agentConnected) tools.guests.forget(uid)
  if (domain) tools.probes.watch(uid, vmi.spec, targetOf(vmi, sandbox))
  const { readiness } = tools.probes.health(uid)
  await report(tools, pod, vmi, trouble, { podIps, domain, drift, readiness })
  if (failure) throw failure
  return undefined
}

/** Whom probes try: the guest, at the address CNI gave its primary interface. */
function targetOf(vmi: VirtualMachineInstance, { ips, hypervisor }: SandboxState) {
  const primary = desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default').find((nic) => nic.primary)
  return { ip: primary && ips.get(primary.name)?.[0], hypervisor }
}

type Outcome = { trouble: Trouble | undefined; failure?: unknown; domain?: ObservedDomain | undefined }

async function start(
  tools: InstanceTools,
  vmi: VirtualMachineInstance,
  hypervisor: Hypervisor,
  signal: AbortSignal,
): Promise<Outcome> {
  const spec = domainSpec(vmi)
  if ('problem' in spec) return { trouble: { reason: 'InvalidSpec', message: spec.problem } }
  const { image } = spec.kernel
  if (!(await tools.images.has(image))) {
    const message = `image "${image}" is not on node ${tools.nodeName}; make it with: patchbay image import ${image} DIR (or patchbay image build-demo)`
    return { trouble: { reason: imageMissingReason, message }, failure: undefined }
  }
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

/** Makes a running guest's interfaces what the spec says. */
async function follow(
  tools: InstanceTools,
  vmi: VirtualMachineInstance,
  hypervisor: Hypervisor,
  domain: ObservedDomain,
  uid: string,
  links: Judgement,
  signal: AbortSignal,
): Promise<Outcome> {
  const kept = new Set(links.kept.map(({ nic }) => nic))
  const whole = planNics(desiredNics(vmi.spec, vmi.metadata.namespace ?? 'default'), domain.nics)
  const plan = { ...whole, steps: whole.steps.filter(({ nic }) => !kept.has(nic.name)) }
  if (!plan.steps.length) return { trouble: undefined, domain }
  tools.log.info(
    {
      domain: nameOf(vmi),
      steps: plan.steps.map((step) => `${step.do} ${step.nic.name} ${step.changed.join()} ${step.nic.link}`),
    },
    'Changing guest',
  )
  const { done, failed } = await execute(plan, hypervisor, signal)
  if (faultKind(failed?.cause) === 'Aborted') throw failed?.cause
  const after = await hypervisor.observe(signal)
  if (after) tools.links.saw(uid, after.nics)
  tellChanges(tools, vmi, done, links)
  tools.guests.ask(uid, hypervisor)
  if (!failed) return { trouble: undefined, domain: after }
  return {
    trouble: { reason: 'Synchronizing with the Domain failed.', message: explain(failed.cause) },
    failure: failed.cause,
    domain: after,
  }
}
