import { type Interface, interfaceStates, type Network } from '#apis/kubevirt/interface.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { type Binding, bindings, bindingsOf, hasTrait } from '../nic/bindings.ts'
import { isDefaultNetwork, linkOf } from '../nic/desired.ts'
import { noNetwork } from '../nic/nic.ts'
import { addressErrors, bootOrderErrors } from './addresses.ts'
import { type ClusterConfig, clusterConfig } from './config.ts'
import { networkErrors } from './networks.ts'
import { portErrors } from './ports.ts'

const namePattern = /^[A-Za-z0-9-_]+$/

/**
 * All errors in the interfaces and networks of a spec, in KubeVirt's words (facts/kubevirt.md §2.1, §8.8). `path` is the path of
 * the spec in the object.
 */
export function interfaceErrors(
  spec: VmiSpec,
  path: string,
  { config = clusterConfig(), isNew = true }: Readonly<{ config?: ClusterConfig; isNew?: boolean }> = {},
): FieldError[] {
  const interfaces = spec.domain.devices.interfaces ?? []
  const networks = spec.networks ?? []
  const byName = new Map(networks.map((network) => [network.name, network]))
  const at = (index: number) => `${path}.domain.devices.interfaces[${index}]`
  return [
    ...networkErrors(spec, path, config),
    ...networks.flatMap((network, i): FieldError[] =>
      interfaces.some((one) => one.name === network.name)
        ? []
        : [
            {
              field: `${path}.networks[${i}].name`,
              message: `${path}.networks[${i}].name '${network.name}' not found.`,
              reason: 'FieldValueRequired',
            },
          ],
    ),
    ...interfaces.flatMap((one, i) => [
      ...pairing(one, i, interfaces, byName, at(i)),
      ...bindingErrors(one, byName.get(one.name), at(i), { config, isNew }),
      ...stateErrors(one, byName.get(one.name), at(i)),
      ...addressErrors(one, at(i)),
      ...portErrors(one, at(i), config),
    ]),
    ...bootOrderErrors(spec, path),
  ]
}

function pairing(
  one: Interface,
  index: number,
  all: readonly Interface[],
  networks: ReadonlyMap<string, Network>,
  field: string,
): FieldError[] {
  const errors: FieldError[] = []
  if (!networks.has(one.name))
    errors.push({
      field: `${field}.name`,
      message: `${field}.name '${one.name}' not found.`,
      reason: 'FieldValueInvalid',
    })
  if (all.findIndex((other) => other.name === one.name) < index)
    errors.push({
      field: `${field}.name`,
      message: 'Only one interface can be connected to one specific network',
      reason: 'FieldValueDuplicate',
    })
  if (!namePattern.test(one.name))
    errors.push({
      field: `${field}.name`,
      message:
        'Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores (_)',
      reason: 'FieldValueInvalid',
    })
  return errors
}

function bindingErrors(
  one: Interface,
  network: Network | undefined,
  field: string,
  { config, isNew }: Readonly<{ config: ClusterConfig; isNew: boolean }>,
): FieldError[] {
  const errors: FieldError[] = []
  const chosen = bindingsOf(one)
  const live = chosen.filter((binding) => bindings[binding].discontinued === undefined)
  // An existing object may have it from an earlier version: then it is reported when the VM is started.
  for (const binding of isNew ? chosen : []) {
    const message = bindings[binding].discontinued
    if (message !== undefined) errors.push({ field: `${field}.${binding}`, message, reason: 'FieldValueInvalid' })
  }
  if (live.length !== 1 && chosen.length === live.length)
    errors.push({
      field,
      message: `logical ${one.name} interface must have exactly one binding method or binding plugin`,
      reason: 'FieldValueInvalid',
    })
  const messages = live.flatMap((binding) => misplaced(binding, network, config))
  return [
    ...errors,
    ...messages.map((message) => ({ field: `${field}.name`, message, reason: 'FieldValueInvalid' as const })),
  ]
}

/** Why a binding cannot be used in this cluster, or on that network. */
function misplaced(binding: Binding, network: Network | undefined, config: ClusterConfig): string[] {
  const { gate, isPodOnly, needsPodPermission, isRewirable } = bindings[binding]
  const title = `${binding[0]?.toUpperCase()}${binding.slice(1)}`
  const isOnPod = network?.pod !== undefined
  return [
    ...(gate && !config.hasGate(gate) ? [`${gate} feature gate is not enabled`] : []),
    ...(isPodOnly && network && !isOnPod ? [`${title} interface only implemented with pod network`] : []),
    ...(!isRewirable && network?.multus?.networkName === noNetwork
      ? [`${title} interface cannot be on ${JSON.stringify(noNetwork)}, which takes bridge binding`]
      : []),
    ...(needsPodPermission && isOnPod && !config.permitBridgeOnPodNetwork
      ? [`${title} on pod network configuration is not enabled under kubevirt-config`]
      : []),
  ]
}

/** The four rules of facts/kubevirt.md §2.1; all violations are reported. */
function stateErrors(one: Interface, network: Network | undefined, field: string): FieldError[] {
  const { name, state } = one
  if (state === undefined || state === '') return []
  const bad = (message: string) => invalidValue(`${field}.state`, message)
  if (!(interfaceStates as readonly string[]).includes(state))
    return [bad(`logical ${name} interface state value is unsupported: ${state}`)]
  const errors: FieldError[] = []
  if (state !== 'absent' && hasTrait(one, ({ states }) => !states.includes(linkOf(state))))
    errors.push(bad(`"${name}" interface's state "${state}" is not supported for SR-IOV NICs`))
  if (state === 'absent' && !hasTrait(one, ({ states }) => states.includes('absent')))
    errors.push(bad(`"${name}" interface's state "${state}" is supported only for bridge binding`))
  if (state === 'absent' && network && isDefaultNetwork(network))
    errors.push(bad(`"${name}" interface's state "${state}" is not supported on default networks`))
  return errors
}
