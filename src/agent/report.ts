import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { networkStatusAnnotation } from '#apis/net/attachment.ts'
import { timestamp } from '#base/time.ts'
import { wantedNics } from '#core/nic/desired.ts'
import { driftText, linkChangedByAnnotation, linkDriftAnnotation, networkChangedByAnnotation } from '#core/nic/drift.ts'
import type { Step } from '#core/nic/plan.ts'
import type { SandboxState } from '#core/ports.ts'
import { untold } from '#core/sandbox/dhcp.ts'
import { attachmentsOf, networkStatuses } from '#core/sandbox/plan.ts'
import { findCondition, withCondition } from '#core/vm/conditions.ts'
import { isFinal } from '#core/vm/power.ts'
import { type Pass, runningStatus, type Trouble } from '#core/vm/running.ts'
import type { Judgement } from './links.ts'
import { type InstanceTools, nameOf } from './tools.ts'

/** What a pass saw; what it did not look at is absent. */
type Seen = Partial<Pick<Pass, 'domain' | 'end' | 'podIps' | 'attached' | 'drift' | 'readiness'>>

/** Writes the agent's part of the instance's status; trouble that is new becomes an Event too. */
export async function report(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  trouble: Trouble | undefined,
  seen: Seen | undefined,
): Promise<undefined> {
  const old = findCondition(vmi.status?.conditions, 'Synchronized')
  if (trouble && old?.message !== trouble.message) {
    tools.log.warn({ domain: nameOf(vmi), ...trouble }, 'Instance cannot be made as wanted')
    tools.recorder(vmi, 'Warning', trouble.event ?? 'SyncFailed', trouble.message)
  }
  const uid = pod.metadata.uid ?? ''
  const [guest, info] = [tools.guests.known(uid), tools.guests.info(uid)]
  const nothing = {
    domain: undefined,
    end: undefined,
    podIps: new Map(),
    attached: new Set<string>(),
    drift: [],
    readiness: undefined,
  }
  const pass: Pass = { ...nothing, ...seen, guest, info, trouble, now: timestamp() }
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
export async function writePod(
  tools: InstanceTools,
  pod: Pod,
  vmi: VirtualMachineInstance,
  sandbox: SandboxState,
): Promise<void> {
  const nics = wantedNics(vmi.spec, pod.metadata.namespace ?? 'default').filter(({ name }) =>
    sandbox.attached.has(name),
  )
  // What it has, not what is wanted: a network that does not come is not there.
  const attachments = attachmentsOf(nics, vmi, tools).map((one) => ({
    ...one,
    network: sandbox.networks.get(one.name) ?? one.network,
  }))
  const annotation = JSON.stringify(networkStatuses(attachments, sandbox.ips))
  if (pod.metadata.annotations?.[networkStatusAnnotation] !== annotation) {
    for (const what of untold(nics, sandbox.ips)) tools.recorder(vmi, 'Warning', 'AddressNotTold', what)
    await tools.client.modify(Pod, pod.metadata, (current) => ({
      ...current,
      metadata: {
        ...current.metadata,
        annotations: { ...current.metadata.annotations, [networkStatusAnnotation]: annotation },
      },
    }))
  }
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

/** Tells of links that somebody else changed. */
export function tellDrift(tools: InstanceTools, vmi: VirtualMachineInstance, { fresh, kept }: Judgement): void {
  for (const one of fresh) {
    const isKept = kept.some(({ nic }) => nic === one.nic)
    const what = isKept ? `left so because of the annotation ${linkDriftAnnotation}` : 'putting it back'
    tools.log.info({ domain: nameOf(vmi), ...one, isKept }, 'Link was changed behind our back')
    tools.recorder(vmi, 'Warning', 'LinkDrift', `The ${driftText([one])}; somebody else changed it; ${what}`)
  }
}

/** Tells the owner of each link that was changed: what it was, what it is, and who wanted that. */
export function tellChanges(
  tools: InstanceTools,
  vmi: VirtualMachineInstance,
  done: readonly Step[],
  { fresh }: Judgement,
): void {
  const mover = vmi.metadata.annotations?.[networkChangedByAnnotation]
  for (const { do: what, nic, from } of done) {
    if (what === 'rewire')
      tools.recorder(
        vmi,
        'Normal',
        'NicRewired',
        `Interface "${nic.name}" was moved from network ${from} to ${nic.network}, asked for by ${mover ?? 'its owner'}`,
      )
    if (what === 'plug')
      tools.recorder(
        vmi,
        'Normal',
        'NicPlugged',
        `Interface "${nic.name}" was plugged into network ${nic.network}, link ${nic.link}`,
      )
    if (what === 'unplug') tools.recorder(vmi, 'Normal', 'NicUnplugged', `Interface "${nic.name}" was unplugged`)
  }
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
