import type { ProbeSpec } from '#apis/kubevirt/probe.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'

/** The check of a probe, at the guest's own address. */
export type Check =
  | Readonly<{ type: 'tcp'; port: number }>
  | Readonly<{
      type: 'http'
      port: number
      path: string
      isSecure: boolean
      headers: readonly Readonly<{ name: string; value: string }>[]
    }>
  | Readonly<{ type: 'exec'; command: readonly string[] }>
  | Readonly<{ type: 'agent' }>

/** A probe with all defaults filled in (Kubernetes'); times in milliseconds. */
export type Probe = Readonly<{
  check: Check
  initialDelayMs: number
  timeoutMs: number
  periodMs: number
  successThreshold: number
  failureThreshold: number
}>

/** The state of a probe: whether the guest counts as healthy, and the number of consecutive results that say the opposite. */
export type ProbeState = Readonly<{ isWell: boolean; against: number; message: string }>

/** The probe of a spec with all defaults; undefined when it has none, or none that can be run. */
export function probeOf(spec: ProbeSpec | undefined, vmi: VmiSpec): Probe | undefined {
  const check = spec && checkOf(spec, vmi)
  if (!check) return undefined
  const seconds = (value: number | undefined, otherwise: number) => (value || otherwise) * 1000
  return {
    check,
    initialDelayMs: seconds(spec.initialDelaySeconds, 0),
    timeoutMs: seconds(spec.timeoutSeconds, 1),
    periodMs: seconds(spec.periodSeconds, 10),
    successThreshold: spec.successThreshold || 1,
    failureThreshold: spec.failureThreshold || 3,
  }
}

function checkOf({ tcpSocket, httpGet, exec, guestAgentPing }: ProbeSpec, vmi: VmiSpec): Check | undefined {
  if (tcpSocket) return { type: 'tcp', port: portOf(tcpSocket.port, vmi) }
  if (httpGet)
    return {
      type: 'http',
      port: portOf(httpGet.port, vmi),
      path: httpGet.path ?? '/',
      isSecure: httpGet.scheme === 'HTTPS',
      headers: httpGet.httpHeaders ?? [],
    }
  if (exec) return { type: 'exec', command: exec.command }
  return guestAgentPing ? { type: 'agent' } : undefined
}

/** The number of a port, which is given by number or by its name at an interface; 0 when there is no such name. */
export function portOf(port: string | number, vmi: VmiSpec): number {
  if (/^\d+$/.test(String(port))) return Number(port)
  const named = vmi.domain.devices.interfaces?.flatMap((one) => one.ports ?? []).find((one) => one.name === port)
  return named?.port ?? 0
}

/** The initial state: unhealthy for a readiness probe, healthy for a liveness probe. */
export function firstState(isWell: boolean): ProbeState {
  return { isWell, against: 0, message: isWell ? '' : 'the probe has not succeeded yet' }
}

/** The state after one more check; `failure` is why it failed. */
export function nextState(state: ProbeState, failure: string | undefined, probe: Probe): ProbeState {
  const isAgainst = state.isWell === (failure !== undefined)
  const message = failure ?? ''
  if (!isAgainst) return { ...state, against: 0, ...(failure !== undefined && { message }) }
  const against = state.against + 1
  const enough = state.isWell ? probe.failureThreshold : probe.successThreshold
  return against >= enough ? { isWell: !state.isWell, against: 0, message } : { ...state, against }
}
