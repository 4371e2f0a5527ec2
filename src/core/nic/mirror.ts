import type { ObjectMeta } from '#apis/meta/object.ts'
import { isObject, isStrings, parsedJson } from '#base/json.ts'
import { isLinkName } from '../sandbox/bridges.ts'
import { multusKey } from './desired.ts'

/**
 * On a VM: the networks whose whole traffic is copied to its interfaces, as JSON: `{"INTERFACE":["NAD","NAMESPACE/NAD"]}`. It is
 * applied while the guest runs. Writing it takes the verb `mirror` on each NetworkAttachmentDefinition.
 */
export const mirrorAnnotation = 'patchbay.dev/mirror'

/** The verb on a NetworkAttachmentDefinition that allows to copy all traffic of its network. */
export const mirrorVerb = 'mirror'

/** The networks (`namespace/name`) that are copied, by interface. */
export type Sources = ReadonlyMap<string, readonly string[]>

/** The sources in the annotations of a VM or instance; undefined when they cannot be read. `namespace` is the object's own. */
export function sourcesIn({
  annotations,
  namespace = 'default',
}: Pick<ObjectMeta, 'namespace' | 'annotations'>): Sources | undefined {
  const text = annotations?.[mirrorAnnotation]
  if (text === undefined) return new Map()
  const value = parsedJson(text)
  if (!isObject(value)) return undefined
  const read = Object.entries(value)
  if (!read.every(([, list]) => isStrings(list) && list.every((name) => name !== ''))) return undefined
  return new Map(
    read.map(([nic, list]) => [nic, [...new Set((list as string[]).map((name) => multusKey(name, namespace)))]]),
  )
}

/** The metadata with other sources for one interface (names as in `multus.networkName`); none are taken out. */
export function withSources<T extends ObjectMeta>(metadata: T, nic: string, sources: readonly string[]): T {
  const { [mirrorAnnotation]: text = '{}', ...others } = metadata.annotations ?? {}
  const known = parsedJson(text)
  const { [nic]: _, ...rest } = isObject(known) ? known : {}
  const wanted = { ...rest, ...(sources.length && { [nic]: sources }) }
  const annotation = Object.keys(wanted).length ? { [mirrorAnnotation]: JSON.stringify(wanted) } : {}
  return { ...metadata, annotations: { ...others, ...annotation } }
}

/** The bridge of the host that is copied, or why a network cannot be a source. `config` is that of its NAD, if there is one. */
export function sourceOf(network: string, config: string | undefined): { bridge: string } | { problem: string } {
  const whole = config === undefined ? undefined : parsedJson(config)
  if (!isObject(whole))
    return { problem: `the NetworkAttachmentDefinition ${network} does not exist or has no config that can be read` }
  const plugins = Array.isArray(whole.plugins) ? whole.plugins.filter(isObject) : [whole]
  const plugin = plugins.find(({ type }) => type === 'bridge')
  if (!plugin) {
    const types = plugins.map(({ type }) => JSON.stringify(type ?? null).slice(0, 64)).join(', ')
    return { problem: `network ${network} is made by ${types}; only networks of the plugin "bridge" can be copied` }
  }
  const { bridge = 'cni0', vlan = 0, vlanTrunk } = plugin
  if (!isLinkName(bridge)) return { problem: `network ${network} names a bridge that no link can be called` }
  // All VLANs of the bridge would be copied, those of other networks too.
  if (vlan !== 0 || vlanTrunk !== undefined)
    return {
      problem: `network ${network} is a VLAN of the bridge ${bridge}, which others are on too; it cannot be copied`,
    }
  return { bridge }
}
