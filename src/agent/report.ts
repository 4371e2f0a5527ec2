import { Pod } from '#apis/core/pod.ts'
import { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { networkInfoAnnotation, networkStatusAnnotation } from '#apis/net/attachment.ts'
import { timestamp } from '#base/time.ts'
import { volumeStates } from '#core/instance/disks.ts'
import type { Observation } from '#core/instance/observation.ts'
import { diskOfKey } from '#core/instance/steps.ts'
import { wantedNics } from '#core/nic/desired.ts'
import {
  type Drift,
  driftText,
  type LinkDrift,
  linkChangedByAnnotation,
  linkDriftAnnotation,
  networkChangedByAnnotation,
} from '#core/nic/drift.ts'
import { isNetwork, noNetwork } from '#core/nic/nic.ts'
import type { Step } from '#core/nic/plan.ts'
import type { DomainEnd, SandboxState } from '#core/ports.ts'
import { addressesWithoutDhcp } from '#core/sandbox/dhcp.ts'
import { attachmentsOf, networkInfo, networkStatuses } from '#core/sandbox/plan.ts'
import { credentialEvent } from '#core/vm/access-credentials.ts'
import { findCondition, withCondition } from '#core/vm/conditions.ts'
import { isFinal } from '#core/vm/power.ts'
import { type Pass, pausedByIoError, runningStatus, type SyncFailure } from '#core/vm/running.ts'
import { type AgentContext, nameOf } from './context.ts'

/** Which parts of the status are written, and why the instance differs from its spec. */
type Findings = Readonly<{ reports: 'sandbox' | 'failure' | 'all'; syncFailure: SyncFailure | undefined }>

/**
 * Writes the observation of a pod's sandbox and guest into the status of pod and instance; without findings, only the instance's,
 * as an intermediate report. Writes nothing that has not changed.
 */
export async function report(
  context: AgentContext,
  pod: Pod,
  seen: Observation,
  findings: Findings | undefined,
): Promise<void> {
  const { reports = 'all', syncFailure } = findings ?? {}
  const { vmi, sandbox, guest, drift } = seen
  if (sandbox && findings && reports !== 'failure') await writePod(context, pod, vmi, sandbox)
  if (reports === 'sandbox') return
  const domain = guest?.is === 'there' ? guest.domain : undefined
  const isWhole = reports === 'all' && sandbox
  await writeInstance(context, pod, vmi, syncFailure, {
    ...(isWhole && { domain, podIps: sandbox.ips, attached: sandbox.attached, drift: drift.kept }),
    ...(isWhole && domain && { volumes: volumeStates(seen, vmi, domain) }),
    ...(isWhole && { readiness: context.probes.health(pod.metadata.uid ?? '').readiness }),
  })
}

/** Writes that the guest of an instance has ended, and stops polling and probing it. */
export async function reportEnd(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  end: DomainEnd,
): Promise<void> {
  const { uid = '' } = pod.metadata
  context.guests.forget(uid)
  context.credentials.forget(uid)
  context.probes.forget(uid)
  context.running.delete(uid)
  context.log.info({ domain: nameOf(vmi), ended: end }, 'Guest ended')
  await writeInstance(context, pod, vmi, undefined, { end })
}

/** The part of a pass that is written into the status; what was not observed is absent. */
type Seen = Partial<Pick<Pass, 'domain' | 'end' | 'podIps' | 'attached' | 'drift' | 'volumes' | 'readiness'>>

/** Writes the agent's part of the instance's status; a new failure also becomes an Event. */
async function writeInstance(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  syncFailure: SyncFailure | undefined,
  seen: Seen,
): Promise<void> {
  const { client, guests, log, recorder, nodeName } = context
  const old = findCondition(vmi.status?.conditions, 'Synchronized')
  if (syncFailure && old?.message !== syncFailure.message) {
    log.warn({ domain: nameOf(vmi), ...syncFailure }, 'Instance differs from its spec')
    recorder(vmi, 'Warning', syncFailure.event ?? 'SyncFailed', syncFailure.message)
  }
  if (seen.domain?.isIoError && findCondition(vmi.status?.conditions, 'Paused')?.reason !== pausedByIoError)
    recorder(
      vmi,
      'Warning',
      'IOerror',
      `VM Paused due to an I/O error of a disk; is there room on node ${nodeName}? It is resumed when the disk can be written`,
    )
  const told = new Set((vmi.status?.volumeStatus ?? []).map(({ message }) => message))
  for (const { phase, reason, message } of seen.volumes?.values() ?? [])
    if ((phase === 'Pending' || phase === 'Bound') && !told.has(message)) recorder(vmi, 'Warning', reason, message)
  const uid = pod.metadata.uid ?? ''
  const credentials = context.credentials.sync(uid)
  const event = seen.domain && credentialEvent(vmi.status ?? {}, credentials)
  if (event) recorder(vmi, event.type, event.reason, event.message)
  const pass: Pass = {
    ...{ domain: undefined, end: undefined, podIps: new Map(), attached: new Set(), drift: [], readiness: undefined },
    volumes: new Map(),
    ...seen,
    ...{ guest: guests.known(uid), info: guests.info(uid), credentials, syncFailure, now: timestamp() },
  }
  await client.modify(
    VirtualMachineInstance,
    vmi.metadata,
    (current) =>
      current.metadata.uid === vmi.metadata.uid && !isFinal(current)
        ? { ...current, status: runningStatus(current, pass) }
        : undefined,
    { subresource: 'status' },
  )
}

/** Writes the pod's status: its sandbox exists and has these networks. */
export async function writePod(
  { client, nads, recorder }: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
  sandbox: SandboxState,
): Promise<void> {
  const nics = wantedNics(vmi.spec, pod.metadata.namespace ?? 'default').filter(({ name }) =>
    sandbox.attached.has(name),
  )
  // The attached networks, not the wanted ones.
  const attachments = attachmentsOf(nics, vmi, nads).map((one) => ({
    ...one,
    network: sandbox.networks.get(one.name) ?? one.network,
  }))
  const info = networkInfo(attachments, sandbox.devices)
  const annotations = {
    [networkStatusAnnotation]: JSON.stringify(networkStatuses(attachments, sandbox.ips, sandbox.devices)),
    ...(info !== undefined && { [networkInfoAnnotation]: info }),
  }
  if (Object.entries(annotations).some(([name, text]) => pod.metadata.annotations?.[name] !== text)) {
    for (const what of addressesWithoutDhcp(nics, sandbox.ips)) recorder(vmi, 'Warning', 'AddressNotTold', what)
    await client.modify(Pod, pod.metadata, (current) => ({
      ...current,
      metadata: {
        ...current.metadata,
        annotations: { ...current.metadata.annotations, ...annotations },
      },
    }))
  }
  const primary = nics.find((nic) => nic.primary)
  const ips = (primary && sandbox.ips.get(primary.name)) ?? []
  const now = timestamp()
  await client.modify(
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

/** Emits Events about links that were changed outside Patchbay. */
export function emitDrift(context: AgentContext, vmi: VirtualMachineInstance, { fresh, kept }: LinkDrift): void {
  for (const one of fresh) {
    const isKept = kept.some(({ nic }) => nic === one.nic)
    const what = isKept ? `left so because of the annotation ${linkDriftAnnotation}` : 'putting it back'
    context.log.info({ domain: nameOf(vmi), ...one, isKept }, 'Link was changed outside Patchbay')
    context.recorder(vmi, 'Warning', 'LinkDrift', `The ${driftText([one])}; it was changed outside Patchbay; ${what}`)
  }
}

/** Emits Events about cards and disks that the guest has released. */
export function emitUnplugged({ recorder }: AgentContext, vmi: VirtualMachineInstance, keys: readonly string[]): void {
  for (const key of keys) {
    const volume = diskOfKey(key)
    if (volume === undefined) recorder(vmi, 'Normal', 'NicUnplugged', `Interface "${key}" was unplugged`)
    else recorder(vmi, 'Normal', 'VolumeUnplugged', `Volume ${volume} has been unplugged from VM`)
  }
}

/** Emits an Event for each change of a card: the old and the new value, and who requested it. */
export function emitChanges(
  context: AgentContext,
  vmi: VirtualMachineInstance,
  done: readonly Step[],
  drift: readonly Drift[],
): void {
  const networkChangedBy = vmi.metadata.annotations?.[networkChangedByAnnotation] ?? 'its owner'
  for (const { do: what, nic, from = '' } of done) {
    if (what === 'rewire')
      context.recorder(
        vmi,
        'Normal',
        'NicRewired',
        `Interface "${nic.name}" was ${movedText(from, nic.network)}, asked for by ${networkChangedBy}`,
      )
    if (what === 'plug')
      context.recorder(
        vmi,
        'Normal',
        'NicPlugged',
        `Interface "${nic.name}" was plugged into network ${nic.network}, link ${nic.link}`,
      )
  }
  const linkChangedBy = vmi.metadata.annotations?.[linkChangedByAnnotation] ?? 'its owner'
  const wanted = new Map(
    wantedNics(vmi.spec, vmi.metadata.namespace ?? 'default').map((nic) => [nic.name, nic.network]),
  )
  for (const { nic, changed, from: left } of done) {
    if (!changed.includes('link')) continue
    const [from, to] = nic.link === 'up' ? ['down', 'up'] : ['up', 'down']
    // Without a network a link is down, whatever state was declared last.
    const isByNetwork = [left, wanted.get(nic.name)].includes(noNetwork)
    const why = drift.some((one) => one.nic === nic.name)
      ? 'as declared'
      : `asked for by ${isByNetwork ? networkChangedBy : linkChangedBy}`
    context.recorder(
      vmi,
      'Normal',
      'LinkChanged',
      `Link of interface "${nic.name}" changed from ${from} to ${to}, ${why}`,
    )
  }
}

/** A rewire in words. */
function movedText(from: string, to: string): string {
  if (!isNetwork(to)) return `taken off network ${from}`
  return isNetwork(from) ? `moved from network ${from} to ${to}` : `put on network ${to}`
}
