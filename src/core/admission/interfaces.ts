import { bindings, type Interface, interfaceStates, type Network } from '#apis/kubevirt/interface.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue } from '#apis/meta/object.ts'
import { isDefaultNetwork } from '../nic/desired.ts'
import { addressErrors, bootOrderErrors } from './addresses.ts'
import { type ClusterConfig, clusterConfig } from './config.ts'
import { networkErrors } from './networks.ts'
import { portErrors } from './ports.ts'

const namePattern = /^[A-Za-z0-9-_]+$/

const discontinued = {
  slirp: 'Slirp interface support has been discontinued since v1.3',
  passt: 'Passt network binding has been discontinued since v1.3',
  macvtap: 'Macvtap network binding has been discontinued since v1.3',
} as const

/**
 * Everything wrong with the interfaces and networks of a spec, in KubeVirt's words (facts/kubevirt.md §2.1, §8.8). `path` is
 * where the spec stands in the object.
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
  const chosen = bindings.filter((binding) => one[binding] !== undefined)
  const live = chosen.filter((binding) => !(binding in discontinued))
  // What exists already may have one from before: it is told when it is started.
  for (const binding of isNew ? chosen : [])
    if (binding in discontinued)
      errors.push({
        field: `${field}.${binding}`,
        message: discontinued[binding as keyof typeof discontinued],
        reason: 'FieldValueInvalid',
      })
  if (live.length !== 1 && chosen.length === live.length)
    errors.push({
      field,
      message: `logical ${one.name} interface must have exactly one binding method or binding plugin`,
      reason: 'FieldValueInvalid',
    })
  if (one.masquerade && network && network.pod === undefined)
    errors.push({
      field: `${field}.name`,
      message: 'Masquerade interface only implemented with pod network',
      reason: 'FieldValueInvalid',
    })
  if (one.bridge && network?.pod && !config.permitBridgeOnPodNetwork)
    errors.push({
      field: `${field}.name`,
      message: 'Bridge on pod network configuration is not enabled under kubevirt-config',
      reason: 'FieldValueInvalid',
    })
  if (one.passtBinding && !config.hasGate('PasstBinding'))
    errors.push({
      field: `${field}.name`,
      message: 'PasstBinding feature gate is not enabled',
      reason: 'FieldValueInvalid',
    })
  if (one.passtBinding && network && network.pod === undefined)
    errors.push({
      field: `${field}.name`,
      message: 'PasstBinding interface only implemented with pod network',
      reason: 'FieldValueInvalid',
    })
  return errors
}

/** The four rules of facts/kubevirt.md §2.1; all that apply are told. */
function stateErrors(one: Interface, network: Network | undefined, field: string): FieldError[] {
  const { name, state } = one
  if (state === undefined || state === '') return []
  const bad = (message: string) => invalidValue(`${field}.state`, message)
  if (!(interfaceStates as readonly string[]).includes(state))
    return [bad(`logical ${name} interface state value is unsupported: ${state}`)]
  const errors: FieldError[] = []
  if (one.sriov && state !== 'absent')
    errors.push(bad(`"${name}" interface's state "${state}" is not supported for SR-IOV NICs`))
  if (state === 'absent' && !one.bridge)
    errors.push(bad(`"${name}" interface's state "${state}" is supported only for bridge binding`))
  if (state === 'absent' && network && isDefaultNetwork(network))
    errors.push(bad(`"${name}" interface's state "${state}" is not supported on default networks`))
  return errors
}
