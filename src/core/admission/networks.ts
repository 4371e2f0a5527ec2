import type { Interface, Network } from '#apis/kubevirt/interface.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { hasTrait } from '../nic/bindings.ts'
import { guestNetworkProblem } from '../nic/cidr.ts'
import { noNetwork } from '../nic/nic.ts'
import type { ClusterConfig } from './config.ts'

/** All errors in the networks of a spec, in KubeVirt's words (facts/kubevirt.md §8.8). */
export function networkErrors(spec: VmiSpec, path: string, { hasGate, podNetworks }: ClusterConfig): FieldError[] {
  const networks = spec.networks ?? []
  return [
    ...networks.flatMap((network, i) => oneErrors(network, i, networks, `${path}.networks[${i}]`, podNetworks)),
    ...defaultErrors(networks, path),
    ...claimErrors(spec, networks, path, hasGate('NetworkDevicesWithDRA')),
  ]
}

function oneErrors(
  network: Network,
  index: number,
  all: readonly Network[],
  field: string,
  podNetworks: readonly string[],
): FieldError[] {
  const errors: FieldError[] = []
  if (all.findIndex((other) => other.name === network.name) < index)
    errors.push({
      field: `${field}.name`,
      message: `Network with name "${network.name}" already exists, every network must have a unique name`,
      reason: 'FieldValueDuplicate',
    })
  const types = [network.pod, network.multus, network.resourceClaim].filter((type) => type !== undefined).length
  if (types === 0) errors.push({ field, message: 'should have a network type', reason: 'FieldValueRequired' })
  if (types > 1) errors.push({ field, message: 'should have only one network type', reason: 'FieldValueRequired' })
  if (network.multus && !network.multus.networkName)
    errors.push({ field, message: 'CNI delegating plugin must have a networkName', reason: 'FieldValueRequired' })
  if (network.multus?.default && network.multus.networkName === noNetwork)
    errors.push(
      invalidValue(
        `${field}.multus.networkName`,
        `${JSON.stringify(noNetwork)} is no network, and cannot be the default one; leave multus.default out`,
      ),
    )
  const { vmNetworkCIDR: cidr, vmIPv6NetworkCIDR: cidr6 } = network.pod ?? {}
  if (cidr6)
    errors.push(
      invalidValue(
        `${field}.pod.vmIPv6NetworkCIDR`,
        `Invalid value: ${JSON.stringify(cidr6.slice(0, 64))}: guests have no IPv6 here, because the pod network has none; leave it out`,
      ),
    )
  const why = cidr === undefined ? undefined : guestNetworkProblem(cidr, podNetworks)
  if (why !== undefined)
    errors.push(
      invalidValue(`${field}.pod.vmNetworkCIDR`, `Invalid value: ${JSON.stringify(cidr?.slice(0, 64))}: ${why}`),
    )
  return errors
}

function defaultErrors(networks: readonly Network[], path: string): FieldError[] {
  const pods = networks.filter((network) => network.pod !== undefined).length
  const multus = networks.filter((network) => network.multus?.default === true).length
  const errors: FieldError[] = []
  if (pods > 1)
    errors.push({
      field: `${path}.interfaces`,
      message: `more than one interface is connected to a pod network in ${path}.interfaces`,
      reason: 'FieldValueDuplicate',
    })
  if (multus > 1) errors.push(invalidValue(`${path}.networks`, 'Multus CNI should only have one default network'))
  if (pods && multus)
    errors.push(
      invalidValue(`${path}.networks`, 'Pod network cannot be defined when Multus default network is defined'),
    )
  return errors
}

/** Networks of a resource claim (DRA), which this version cannot run, are validated as in KubeVirt. */
function claimErrors(spec: VmiSpec, networks: readonly Network[], path: string, isOpen: boolean): FieldError[] {
  const claimed = networks.flatMap((network, i) =>
    network.resourceClaim ? [{ network, i, claim: network.resourceClaim }] : [],
  )
  if (!claimed.length) return []
  const field = `${path}.networks`
  if (!isOpen)
    return [
      invalidValue(
        field,
        'vmi.spec.networks contains DRA networks but NetworkDevicesWithDRA feature gate is not enabled',
      ),
    ]
  const errors: FieldError[] = []
  if (networks.some((network) => network.multus))
    errors.push(invalidValue(field, 'mixing Multus and DRA resourceClaim networks in the same VMI is not supported'))
  const defined = new Set((spec.resourceClaims ?? []).map((claim) => claim.name))
  const seen = new Set<string>()
  for (const { network, i, claim } of claimed) {
    const at = `${field}[${i}].resourceClaim`
    const { claimName, requestName } = claim
    if (!claimName) errors.push(required(`${at}.claimName`, 'claimName is required for DRA network'))
    if (!requestName) errors.push(required(`${at}.requestName`, 'requestName is required for DRA network'))
    if (claimName && !defined.has(claimName))
      errors.push(
        invalidValue(
          `${at}.claimName`,
          `network references resourceClaim "${claimName}" which is not defined in spec.resourceClaims`,
        ),
      )
    const pair = `${claimName}/${requestName}`
    if (claimName && requestName && seen.has(pair))
      errors.push({
        field: at,
        message: `duplicate claimName/requestName combination "${pair}"`,
        reason: 'FieldValueDuplicate',
      })
    seen.add(pair)
    const one = spec.domain.devices.interfaces?.find(({ name }) => name === network.name)
    if (one && !isForClaims(one))
      errors.push(invalidValue(at, `DRA network "${network.name}" requires an SR-IOV or binding plugin interface`))
  }
  return errors
}

function isForClaims(one: Interface): boolean {
  return hasTrait(one, ({ takesClaims }) => takesClaims)
}

function required(field: string, message: string): FieldError {
  return { field, message, reason: 'FieldValueRequired' }
}
