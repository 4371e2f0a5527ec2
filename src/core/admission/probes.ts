import { type ProbeSpec, probeChecks } from '#apis/kubevirt/probe.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { portOf } from '../vm/probe.ts'

/** All errors in the probes of a spec, in KubeVirt's words where KubeVirt checks them. `path` is the path of the spec. */
export function probeErrors(spec: VmiSpec, path: string): FieldError[] {
  const { readinessProbe, livenessProbe } = spec
  return [
    ...(readinessProbe ? oneProbeErrors(readinessProbe, spec, `${path}.readinessProbe`) : []),
    ...(livenessProbe ? oneProbeErrors(livenessProbe, spec, `${path}.livenessProbe`) : []),
    ...(livenessProbe?.successThreshold !== undefined && livenessProbe.successThreshold > 1
      ? [invalidValue(`${path}.livenessProbe.successThreshold`, 'must be 1')]
      : []),
  ]
}

/** Largest values: times (seconds, at most a day) and counts. */
const maxima = {
  initialDelaySeconds: 86_400,
  timeoutSeconds: 3600,
  periodSeconds: 86_400,
  successThreshold: 1000,
  failureThreshold: 1000,
} as const

function oneProbeErrors(probe: ProbeSpec, spec: VmiSpec, path: string): FieldError[] {
  const errors: FieldError[] = []
  const checks = probeChecks.filter((name) => probe[name] !== undefined)
  if (checks.length === 0)
    errors.push({
      field: path,
      message: `either ${path}.tcpSocket, ${path}.exec or ${path}.httpGet must be set if a ${path} is specified`,
      reason: 'FieldValueRequired',
    })
  if (checks.length > 1) errors.push(invalidValue(path, `${path} must have exactly one probe type set`))
  const isOverNetwork = probe.tcpSocket !== undefined || probe.httpGet !== undefined
  if (isOverNetwork && !spec.networks?.some((network) => network.pod !== undefined))
    errors.push(
      invalidValue(
        path,
        `${path}.${probe.httpGet ? 'httpGet' : 'tcpSocket'} is only allowed if the Pod Network is attached`,
      ),
    )
  const port = probe.tcpSocket?.port ?? probe.httpGet?.port
  if (port !== undefined) {
    const number = portOf(port, spec)
    const field = `${path}.${probe.httpGet ? 'httpGet' : 'tcpSocket'}.port`
    if (number < 1 || number > 65_535)
      errors.push(
        invalidValue(field, `${field} must be a number from 1 to 65535, or the name of a port of an interface`),
      )
  }
  if (probe.exec && !probe.exec.command.length) errors.push(invalidValue(`${path}.exec.command`, 'must name a command'))
  for (const name of ['tcpSocket', 'httpGet'] as const)
    if (probe[name]?.host)
      errors.push(
        invalidValue(
          `${path}.${name}.host`,
          'a probe reaches its own guest only: leave the host out, and name it in a header',
        ),
      )
  for (const [field, max] of Object.entries(maxima)) {
    const value = probe[field as keyof typeof maxima] ?? 0
    if (value < 0) errors.push(invalidValue(`${path}.${field}`, 'must be greater than or equal to 0'))
    if (value > max) errors.push(invalidValue(`${path}.${field}`, `must be less than or equal to ${max}`))
  }
  return errors
}
