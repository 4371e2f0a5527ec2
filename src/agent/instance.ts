import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { networkStatusAnnotation } from '#apis/net/attachment.ts'
import { explain, faultKind } from '#base/fault.ts'
import type { Log } from '#base/log.ts'
import { timestamp } from '#base/time.ts'
import { desiredNics, unsupportedInterface } from '#core/nic/desired.ts'
import { type Drift, driftText, linkChangedByAnnotation, linkDriftAnnotation } from '#core/nic/drift.ts'
import { execute } from '#core/nic/execute.ts'
import { planNics, type Step } from '#core/nic/plan.ts'
import type { Hypervisor, Images, ObservedDomain, Sandboxes, SandboxState } from '#core/ports.ts'
import { attachmentsOf, networkStatuses } from '#core/sandbox/plan.ts'
import { findCondition, withCondition } from '#core/vm/conditions.ts'
import { domainName, domainSpec, queuesOf } from '#core/vm/domain.ts'
import { isScheduled, sandboxFinalizer } from '#core/vm/launcher.ts'
import { isFinal } from '#core/vm/power.ts'
import { type Pass, runningStatus, type Trouble } from '#core/vm/running.ts'
import { imageMissingReason } from '#core/vm/status.ts'
import type { Client } from '#machinery/client/client.ts'
import { dropFinalizer } from '#machinery/client/finalizers.ts'
import type { Recorder } from '#machinery/client/recorder.ts'
import type { Guests } from './guests.ts'
import type { Judgement, LinkMemory } from './links.ts'

/** Default time a guest is given to shut down, seconds (Kubernetes' default). */
const defaultGraceSeconds = 30
/** How often a guest that does not shut down is asked again, milliseconds. */
const askAgainMs = 5000

export type InstanceTools = Readonly<{
  client: Client
  sandboxes: Sandboxes
  images: Images
  guests: Guests
  links: LinkMemory
  recorder: Recorder
  log: Log
  nodeName: string
  configOf: (network: string) => string | undefined
}>

type Again = Readonly<{ againAfterMs: number }> | undefined

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

async function ensure(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  signal: AbortSignal,
): Promise<SandboxState> {
  const { namespace = 'default', name, uid = '' } = pod.metadata
  const nics = desiredNics(vmi.spec, namespace)
  return tools.sandboxes.ensure(
    { uid, namespace, name, attachments: attachmentsOf(nics, queuesOf(vmi.spec), tools.configOf) },
    signal,
  )
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
  if (vmi.metadata.deletionTimestamp) return stop(tools, pod, vmi, hypervisor, domain, signal)
  const uid = pod.metadata.uid ?? ''
  const seen = { end: undefined, podIps: sandbox.ips }
  let trouble: Trouble | undefined
  let failure: unknown
  let drift: readonly Drift[] = []
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
      await report(tools, pod, vmi, undefined, { ...seen, domain, drift })
    }
    ;({ trouble, failure, domain } = await follow(tools, vmi, hypervisor, domain, uid, links, signal))
  }
  if (domain?.agentConnected && !tools.guests.isAsked(uid)) tools.guests.ask(uid, hypervisor)
  if (domain && !domain.agentConnected) tools.guests.forget(uid)
  await report(tools, pod, vmi, trouble, { ...seen, domain, drift })
  if (failure) throw failure
  return undefined
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

function tellDrift(tools: InstanceTools, vmi: VirtualMachineInstance, { fresh, kept }: Judgement): void {
  for (const one of fresh) {
    const isKept = kept.some(({ nic }) => nic === one.nic)
    const what = isKept ? `left so because of the annotation ${linkDriftAnnotation}` : 'putting it back'
    tools.log.info({ domain: nameOf(vmi), ...one, isKept }, 'Link was changed behind our back')
    tools.recorder(vmi, 'Warning', 'LinkDrift', `The ${driftText([one])}; somebody else changed it; ${what}`)
  }
}

/** Tells the owner of each link that was changed: what it was, what it is, and who wanted that. */
function tellChanges(
  tools: InstanceTools,
  vmi: VirtualMachineInstance,
  done: readonly Step[],
  { fresh }: Judgement,
): void {
  const who = vmi.metadata.annotations?.[linkChangedByAnnotation]
  for (const { nic, changed } of done) {
    if (!changed.includes('link')) continue
    const [from, to] = nic.link === 'up' ? ['down', 'up'] : ['up', 'down']
    const why = fresh.some((one) => one.nic === nic.name) ? 'as declared' : `asked for by ${who ?? 'its owner'}`
    tools.recorder(
      vmi,
      'Normal',
      'LinkChanged',
      `Link of interface "${nic.name}" changed from ${from} to ${to}, ${why}`,
    )
  }
}

/** When each sandbox's guest was last asked to shut down; a restart of the agent merely asks again. */
const asked = new Map<string, number>()

/** Asks the guest to go, ends it when its time is up, and tells when it has gone. */
async function stop(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  hypervisor: Hypervisor,
  domain: ObservedDomain | undefined,
  signal: AbortSignal,
): Promise<Again> {
  const uid = pod.metadata.uid ?? ''
  if (!domain) {
    asked.delete(uid)
    return finish(tools, pod, vmi, (await hypervisor.lastEnd(nameOf(vmi))) ?? 'destroyed')
  }
  const since = Date.parse(vmi.metadata.deletionTimestamp ?? pod.metadata.deletionTimestamp ?? '')
  const graceMs = (vmi.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds) * 1000
  const leftMs = since + graceMs - Date.now()
  if (leftMs <= 0) {
    tools.log.info({ domain: nameOf(vmi), graceMs }, 'Ending guest that did not shut down in time')
    await hypervisor.destroy(signal)
    return { againAfterMs: 0 }
  }
  if (Date.now() - (asked.get(uid) ?? 0) >= askAgainMs) {
    asked.set(uid, Date.now())
    await hypervisor
      .shutdown(signal)
      .catch((error: unknown) =>
        tools.log.warn({ domain: nameOf(vmi), cause: explain(error) }, 'Guest cannot be asked to shut down'),
      )
  }
  return { againAfterMs: Math.min(leftMs, askAgainMs) }
}

/** Takes a sandbox whose pod is deleted (or whose instance is not there any more) off the host. */
async function end(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance | undefined,
  signal: AbortSignal,
): Promise<Again> {
  const { uid = '' } = pod.metadata
  if (vmi && isScheduled(vmi) && !isFinal(vmi)) {
    const sandbox = await ensure(tools, pod, vmi, signal).catch(() => undefined)
    const domain = await sandbox?.hypervisor.observe(signal)
    if (sandbox) {
      const again = await stop(tools, pod, vmi, sandbox.hypervisor, domain, signal)
      if (domain) return again
    } else await finish(tools, pod, vmi, 'destroyed')
  }
  tools.guests.forget(uid)
  tools.links.forget(uid)
  await tools.sandboxes.remove(uid, signal)
  await dropFinalizer(tools.client, Pod, pod, sandboxFinalizer)
  if (!pod.metadata.deletionTimestamp) await tools.client.delete(Pod, pod.metadata, { uid })
  return undefined
}

async function finish(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  ended: Pass['end'],
): Promise<undefined> {
  tools.guests.forget(pod.metadata.uid ?? '')
  tools.log.info({ domain: nameOf(vmi), ended }, 'Guest ended')
  await report(tools, pod, vmi, undefined, { domain: undefined, end: ended, podIps: new Map(), drift: [] })
}

type Seen = Pick<Pass, 'domain' | 'end' | 'podIps' | 'drift'>

/** Writes the agent's part of the instance's status; trouble that is new becomes an Event too. */
async function report(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  trouble: Trouble | undefined,
  seen: Seen | undefined,
): Promise<undefined> {
  const old = findCondition(vmi.status?.conditions, 'Synchronized')
  if (trouble && old?.message !== trouble.message) {
    tools.log.warn({ domain: nameOf(vmi), ...trouble }, 'Instance cannot be made as wanted')
    tools.recorder(vmi, 'Warning', 'SyncFailed', trouble.message)
  }
  const guest = tools.guests.known(pod.metadata.uid ?? '')
  const nothing = { domain: undefined, end: undefined, podIps: new Map(), drift: [] }
  const pass: Pass = { ...nothing, ...seen, guest, trouble, now: timestamp() }
  await tools.client.modify(
    VirtualMachineInstance,
    vmi.metadata,
    (current) =>
      current.metadata.uid === vmi.metadata.uid && !isFinal(current)
        ? { ...current, status: runningStatus(current, pass) }
        : undefined,
    { subresource: 'status' },
  )
}

/** Tells that the sandbox is there, and with which networks. */
async function writePod(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  sandbox: SandboxState,
): Promise<void> {
  const nics = desiredNics(vmi.spec, pod.metadata.namespace ?? 'default')
  const annotation = JSON.stringify(
    networkStatuses(attachmentsOf(nics, queuesOf(vmi.spec), tools.configOf), sandbox.ips),
  )
  if (pod.metadata.annotations?.[networkStatusAnnotation] !== annotation)
    await tools.client.modify(Pod, pod.metadata, (current) => ({
      ...current,
      metadata: {
        ...current.metadata,
        annotations: { ...current.metadata.annotations, [networkStatusAnnotation]: annotation },
      },
    }))
  const primary = nics.find((nic) => nic.primary)
  const ips = (primary && sandbox.ips.get(primary.name)) ?? []
  const now = timestamp()
  await tools.client.modify(
    Pod,
    pod.metadata,
    (current) => {
      const conditions = withCondition(current.status?.conditions, { type: 'Ready', status: 'True' }, now)
      const addresses = ips.length ? { podIP: ips[0]!, podIPs: ips.map((ip) => ({ ip })) } : {}
      return {
        ...current,
        status: {
          ...current.status,
          phase: 'Running' as const,
          startTime: current.status?.startTime ?? now,
          conditions,
          ...addresses,
        },
      }
    },
    { subresource: 'status' },
  )
}

function nameOf(vmi: VirtualMachineInstance): string {
  return domainName(vmi.metadata.namespace ?? 'default', vmi.metadata.name)
}
