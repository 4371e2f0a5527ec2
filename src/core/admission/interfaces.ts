import { bindings, type Interface, interfaceModels, interfaceStates, type Network } from '#apis/kubevirt/interface.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { FieldError } from '#apis/meta/object.ts'
import { isDefaultNetwork } from '../nic/desired.ts'

const namePattern = /^[A-Za-z0-9-_]+$/
const macPattern = /^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$/
/** The MAC of the gateway a masqueraded guest sees. */
const reservedMac = '02:00:00:00:00:00'

const discontinued = {
  slirp: 'Slirp interface support has been discontinued since v1.3',
  passt: 'Passt network binding has been discontinued since v1.3',
  macvtap: 'Macvtap network binding has been discontinued since v1.3',
} as const

/**
 * Everything wrong with the interfaces and networks of a spec, in KubeVirt's words (facts/kubevirt.md §2.1, §8.8). `path` is
 * where the spec stands in the object.
 */
export function interfaceErrors(spec: VmiSpec, path: string): FieldError[] {
  const interfaces = spec.domain.devices.interfaces ?? []
  const networks = spec.networks ?? []
  const byName = new Map(networks.map((network) => [network.name, network]))
  const at = (index: number) => `${path}.domain.devices.interfaces[${index}]`
  return [
    ...networks.flatMap((network, i) => networkErrors(network, i, networks, `${path}.networks[${i}]`)),
    ...clusterOfDefaults(networks, path),
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
      ...bindingErrors(one, byName.get(one.name), at(i)),
      ...stateErrors(one, byName.get(one.name), at(i)),
      ...addressErrors(one, at(i)),
    ]),
  ]
}

function networkErrors(network: Network, index: number, all: readonly Network[], field: string): FieldError[] {
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
  return errors
}

function clusterOfDefaults(networks: readonly Network[], path: string): FieldError[] {
  const pods = networks.filter((network) => network.pod !== undefined).length
  const multus = networks.filter((network) => network.multus?.default === true).length
  const errors: FieldError[] = []
  if (pods > 1)
    errors.push({
      field: `${path}.interfaces`,
      message: `more than one interface is connected to a pod network in ${path}.interfaces`,
      reason: 'FieldValueDuplicate',
    })
  if (multus > 1)
    errors.push({
      field: `${path}.networks`,
      message: 'Multus CNI should only have one default network',
      reason: 'FieldValueInvalid',
    })
  if (pods && multus)
    errors.push({
      field: `${path}.networks`,
      message: 'Pod network cannot be defined when Multus default network is defined',
      reason: 'FieldValueInvalid',
    })
  return errors
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

function bindingErrors(one: Interface, network: Network | undefined, field: string): FieldError[] {
  const errors: FieldError[] = []
  const chosen = bindings.filter((binding) => one[binding] !== undefined)
  const live = chosen.filter((binding) => !(binding in discontinued))
  for (const binding of chosen)
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
  const bad = (message: string): FieldError => ({ field: `${field}.state`, message, reason: 'FieldValueInvalid' })
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

function addressErrors(one: Interface, field: string): FieldError[] {
  const errors: FieldError[] = []
  if (one.model !== undefined && !(interfaceModels as readonly string[]).includes(one.model))
    errors.push({
      field: `${field}.model`,
      message: `interface ${field}.name uses model ${one.model} that is not supported.`,
      reason: 'FieldValueNotSupported',
    })
  const mac = one.macAddress
  if (mac === undefined || mac === '') return errors
  if (mac.replace(/[:-]/g, '').length > 12 && /^[0-9A-Fa-f:-]+$/.test(mac))
    errors.push({
      field: `${field}.macAddress`,
      message: `interface ${field}.name has too long MAC address (${mac}).`,
      reason: 'FieldValueInvalid',
    })
  else if (!macPattern.test(mac))
    errors.push({
      field: `${field}.macAddress`,
      message: `interface ${field}.name has malformed MAC address (${mac}).`,
      reason: 'FieldValueInvalid',
    })
  if (one.masquerade && mac.toLowerCase().replaceAll('-', ':') === reservedMac)
    errors.push({
      field: `${field}.macAddress`,
      message: 'The requested MAC address is reserved for the in-pod bridge. Please choose another one.',
      reason: 'FieldValueInvalid',
    })
  return errors
}
