import { isObject, type Json, jsonEntries, parsedJson } from '#base/json.ts'
import { passDriver, type VirtualFunction } from './functions.ts'

/** The functions of one card by their numbers; all of them unless numbers are given: `ens1f0#0-3,5`. */
type OfParent = Readonly<{ parent: string; isNumber: (index: number) => boolean }>

/** What a VF has to be; each list names what is allowed, and one that is not there allows all. */
export type Selector = Readonly<{
  vendors?: readonly string[]
  devices?: readonly string[]
  drivers?: readonly string[]
  pciAddresses?: readonly string[]
  links?: readonly OfParent[]
  roots?: readonly OfParent[]
}>

/** A pool of VFs: a resource of nodes, and which VFs are in it. */
export type PoolConfig = Readonly<{
  /** `PREFIX/NAME`, as pods request it. */
  resource: string
  selectors: readonly Selector[]
}>

/** Where the operator says which VFs there are for guests; the same object that the SR-IOV device plugin reads in a cluster. */
export const poolConfigKey = { namespace: 'kube-system', name: 'sriovdp-config' } as const
/** The key of that ConfigMap. */
export const poolConfigFile = 'config.json'

const usualPrefix = 'intel.com'

/** Fields of a selector that are carried out, by the name of what they allow. */
const lists = ['vendors', 'devices', 'drivers', 'pciAddresses'] as const
const parents = { pfNames: 'links', rootDevices: 'roots' } as const

/** The pools that a ConfigMap of the SR-IOV device plugin describes (facts/sriov.md §A), and every error in it. */
export function parsePools(text: string): Readonly<{ pools: readonly PoolConfig[]; errors: readonly string[] }> {
  const errors: string[] = []
  const value = parsedJson(text)
  const list = isObject(value) ? value.resourceList : undefined
  if (!Array.isArray(list)) return { pools: [], errors: ['resourceList: is no list of resources'] }
  const pools = (list as readonly Json[]).flatMap((one, i) => poolOf(one, `resourceList[${i}]`, errors) ?? [])
  const seen = new Set<string>()
  for (const { resource } of pools)
    if (seen.size === seen.add(resource).size)
      errors.push(`resourceList: ${resource} is there twice; join its selectors`)
  return errors.length ? { pools: [], errors } : { pools, errors }
}

function poolOf(value: Json, at: string, errors: string[]): PoolConfig | undefined {
  if (!isObject(value)) {
    errors.push(`${at}: is no object`)
    return undefined
  }
  const { resourceName: name, resourcePrefix: prefix = usualPrefix, deviceType = 'netDevice', selectors = [] } = value
  if (typeof name !== 'string' || !/^[a-zA-Z0-9_]+$/.test(name))
    errors.push(`${at}.resourceName: must be letters, digits and underscores`)
  if (typeof prefix !== 'string' || !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(prefix))
    errors.push(`${at}.resourcePrefix: must be a domain name`)
  if (deviceType !== 'netDevice') errors.push(`${at}.deviceType: only netDevice is carried out`)
  const all = Array.isArray(selectors) ? (selectors as readonly Json[]) : [selectors]
  return {
    resource: `${String(prefix)}/${String(name)}`,
    selectors: all.map((one, i) =>
      selectorOf(one, `${at}.selectors${Array.isArray(selectors) ? `[${i}]` : ''}`, errors),
    ),
  }
}

function selectorOf(value: Json, at: string, errors: string[]): Selector {
  if (!isObject(value)) {
    errors.push(`${at}: is no object`)
    return {}
  }
  const selector: Record<string, unknown> = {}
  for (const [field, given] of jsonEntries(value)) {
    const words = Array.isArray(given) ? (given as readonly Json[]) : []
    const isList = Array.isArray(given) && words.every((one) => typeof one === 'string')
    const known = lists.find((one) => one === field)
    const parent = parents[field as keyof typeof parents]
    if (!known && !parent) {
      // What is off changes nothing.
      if (given !== false && !(Array.isArray(given) && !given.length))
        errors.push(`${at}.${field}: is not carried out; use ${[...lists, ...Object.keys(parents)].join(', ')}`)
    } else if (!isList) errors.push(`${at}.${field}: is no list of strings`)
    else if (known) selector[known] = words.map((one) => String(one).toLowerCase())
    else if (parent)
      selector[parent] = words.flatMap((one, i) => parentOf(String(one), `${at}.${field}[${i}]`, errors) ?? [])
  }
  return selector
}

function parentOf(text: string, at: string, errors: string[]): OfParent | undefined {
  const [parent = '', numbers, ...rest] = text.split('#')
  const ranges = (numbers ?? '').split(',').map((one) => /^(\d+)(?:-(\d+))?$/.exec(one))
  if (!parent || rest.length || (numbers !== undefined && ranges.includes(null))) {
    errors.push(`${at}: ${text} is not like ens1f0 or ens1f0#0-3,5`)
    return undefined
  }
  const isNumber = (index: number) =>
    ranges.some((range) => range !== null && index >= Number(range[1]) && index <= Number(range[2] ?? range[1]))
  return { parent, isNumber: numbers === undefined ? () => true : isNumber }
}

/** Whether a VF is what any of the selectors ask for; a pool without selectors has every VF. */
export function isSelected(vf: VirtualFunction, selectors: readonly Selector[]): boolean {
  return !selectors.length || selectors.some((one) => meets(vf, one))
}

/**
 * `drivers` that name vfio-pci have those as well that are bound to no driver: an operator of a cluster binds them beforehand,
 * here they are bound when a guest takes them.
 */
function meets(vf: VirtualFunction, selector: Selector): boolean {
  const { vendors, devices, drivers, pciAddresses, links, roots } = selector
  const isIn = (list: readonly string[] | undefined, value: string) => !list?.length || list.includes(value)
  const isOf = (list: readonly OfParent[] | undefined, parent: string | undefined) =>
    !list?.length || list.some((one) => one.parent === parent && one.isNumber(vf.index))
  return (
    isIn(vendors, vf.vendor) &&
    isIn(devices, vf.device) &&
    isIn(drivers, vf.driver ?? passDriver) &&
    isIn(pciAddresses, vf.address) &&
    isOf(links, vf.parent.link) &&
    isOf(roots, vf.parent.address)
  )
}
