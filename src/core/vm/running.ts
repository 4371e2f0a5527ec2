import type { VirtualMachineInstance, VmiPhase, VmiStatus } from '#apis/kubevirt/vmi.ts'
import type { Condition } from '#apis/meta/object.ts'
import { type VolumeStates, volumeStatuses } from '../disk/status.ts'
import { liveMigratable } from '../migration/migratable.ts'
import { wantedNics } from '../nic/desired.ts'
import { type Drift, driftText } from '../nic/drift.ts'
import { type GuestInterface, interfaceStatuses } from '../nic/status.ts'
import type { DomainEnd, ObservedDomain } from '../ports.ts'
import { type CredentialSync, withCredentialSync } from './access-credentials.ts'
import { withCondition, withoutCondition } from './conditions.ts'
import type { GuestInfo } from './guest-info.ts'
import { withPhase } from './phase.ts'
import type { ProbeState } from './probe.ts'
import { withUncarriedOfInstance } from './uncarried.ts'

/** Reason of the condition Paused of a guest whose disk could not be read or written (KubeVirt). */
export const pausedByIoError = 'PausedIOError'

/** Why an instance differs from its spec. */
export type SyncFailure = Readonly<{
  reason: string
  message: string
  /** Reason of the Event about it; SyncFailed unless given. */
  event?: string
}>

/** What the agent knows after a pass. */
export type Pass = Readonly<{
  domain: ObservedDomain | undefined
  /** How the guest ended; set only when there was a domain and there is none. */
  end: DomainEnd | undefined
  guest: readonly GuestInterface[] | undefined
  /** What the guest's agent reported about itself; undefined until it was polled. */
  info: GuestInfo | undefined
  podIps: ReadonlyMap<string, readonly string[]>
  syncFailure: SyncFailure | undefined
  /** Networks the sandbox has, by interface. */
  attached: ReadonlySet<string>
  /** Links that were changed outside Patchbay and that are left as they were found. */
  drift: readonly Drift[]
  /** The states of volumes that come and leave. */
  volumes: VolumeStates
  /** Whether the credentials are set that the guest's agent sets; undefined while unknown. */
  credentials: CredentialSync | undefined
  /** The state of the readiness probe; undefined without one. */
  readiness: ProbeState | undefined
  now: string
}>

/** The final phase of a guest: it succeeded if it shut down by itself, or was destroyed while it was being deleted. */
export function finalPhase(end: DomainEnd, deleting: boolean): VmiPhase {
  return end === 'shutdown' || (deleting && end === 'destroyed') ? 'Succeeded' : 'Failed'
}

/** The agent's part of an instance's status, computed from the observation. Equal input gives equal output. */
export function runningStatus(vmi: VirtualMachineInstance, pass: Pass): VmiStatus {
  const { domain, end, now } = pass
  const status = withSync(vmi.status ?? {}, pass)
  if (domain) return withDomain(vmi, status, domain, pass)
  if (!end) return status
  const phase = finalPhase(end, vmi.metadata.deletionTimestamp !== undefined)
  const ended = {
    type: 'Ready',
    status: 'False',
    reason: 'GuestNotRunning',
    message: `The guest ended: ${end}`,
  } as const
  const conditions = withoutCondition(
    withoutCondition(withCondition(status.conditions, ended, now), 'AgentConnected'),
    'Paused',
  )
  const { pciPorts: _, ...rest } = withInfo(withPhase(status, phase, now), undefined, false)
  return { ...rest, conditions, interfaces: [] }
}

function withDomain(
  vmi: VirtualMachineInstance,
  status: VmiStatus,
  domain: ObservedDomain,
  { guest, info, podIps, attached, drift, volumes, credentials, readiness, now }: Pass,
): VmiStatus {
  const paused = domain.state === 'paused'
  let conditions = withCondition(status.conditions, readyCondition(paused, readiness), now)
  conditions = paused
    ? withCondition(conditions, { type: 'Paused', status: 'True', ...whyPaused(domain) }, now)
    : withoutCondition(conditions, 'Paused')
  conditions = domain.agentConnected
    ? withCondition(conditions, { type: 'AgentConnected', status: 'True' }, now)
    : withoutCondition(conditions, 'AgentConnected')
  conditions = drift.length
    ? withCondition(
        conditions,
        { type: 'LinkDrift', status: 'True', reason: 'ReportOnly', message: driftText(drift) },
        now,
      )
    : withoutCondition(conditions, 'LinkDrift')
  conditions = withCredentialSync(conditions, credentials, now) ?? conditions
  conditions = withCondition(conditions, liveMigratable(vmi), now)
  conditions = withUncarriedOfInstance(conditions, vmi, now)
  const wanted = wantedNics(vmi.spec, vmi.metadata.namespace ?? 'default')
  const known = domain.agentConnected ? guest : undefined
  const { volumeStatus: before, ...rest } = withInfo(withPhase(status, 'Running', now), info, domain.agentConnected)
  const volumeStatus = domain.disks ? volumeStatuses(vmi, domain, volumes) : before
  return {
    ...rest,
    conditions,
    migrationMethod: 'LiveMigration',
    migrationTransport: 'Unix',
    ...(volumeStatus && { volumeStatus }),
    pciPorts: domain.ports,
    interfaces: interfaceStatuses(wanted, domain.nics, known, podIps, attached, vmi.status?.interfaces),
  }
}

/** In KubeVirt's words. */
function whyPaused({ isIoError }: ObservedDomain): Readonly<{ reason: string; message: string }> {
  return isIoError
    ? { reason: pausedByIoError, message: 'VMI was paused, low-level IO error detected' }
    : { reason: 'PausedByUser', message: 'VMI was paused by user' }
}

/** What the guest's agent reported, while it is connected; until it is polled again, the previous report. */
function withInfo(status: VmiStatus, info: GuestInfo | undefined, isConnected: boolean): VmiStatus {
  if (isConnected) return info ? { ...status, guestOSInfo: info.os, guestAgent: info.agent } : status
  const { guestOSInfo: _, guestAgent: _agent, ...rest } = status
  return rest
}

function readyCondition(paused: boolean, readiness: ProbeState | undefined): Omit<Condition, 'lastTransitionTime'> {
  if (paused) return { type: 'Ready', status: 'False', reason: 'GuestPaused', message: 'The guest is paused' }
  if (!readiness || readiness.isWell) return { type: 'Ready', status: 'True' }
  // The reason of a launcher pod, which KubeVirt copies.
  const message = `readiness probe failed: ${readiness.message}`
  return { type: 'Ready', status: 'False', reason: 'ContainersNotReady', message }
}

/** The condition Synchronized exists only while there is a failure (facts/kubevirt.md §2.3). */
function withSync(status: VmiStatus, { syncFailure, now }: Pass): VmiStatus {
  const conditions = syncFailure
    ? withCondition(
        status.conditions,
        { type: 'Synchronized', status: 'False', reason: syncFailure.reason, message: syncFailure.message },
        now,
      )
    : withoutCondition(status.conditions, 'Synchronized')
  return { ...status, conditions }
}
