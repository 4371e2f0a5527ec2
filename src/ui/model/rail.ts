import type { Stored } from '#apis/meta/object.ts'
import type { NetworkAttachmentDefinition } from '#apis/net/attachment.ts'
import { isObject, parsedJson } from '#base/json.ts'
import { noNetwork, podNetwork } from '#core/nic/nic.ts'
import { words } from '../words.ts'
import type { Machine } from './machine.ts'

/** A network as a rail that cables are plugged into. */
export type Rail = Readonly<{
  /** As the planner names it: `pod`, `NAMESPACE/NAME` or no network. */
  key: string
  name: string
  namespace: string | undefined
  kind: 'pod' | 'nad' | 'parking' | 'missing'
  /** What carries it: `bridge br-red, VLAN 7`. */
  detail: string
  problem: string | undefined
  /** Cables that end here. */
  cables: number
}>

/** The rails in the order in which they are shown: the pod network, the networks by name, the parking rail. */
export function railsOf(
  nads: readonly Stored<NetworkAttachmentDefinition>[],
  machines: Iterable<Machine>,
): readonly Rail[] {
  const counts = new Map<string, number>()
  for (const { jacks } of machines)
    for (const { rail, cable } of jacks) if (cable.state !== 'unplugged') counts.set(rail, (counts.get(rail) ?? 0) + 1)
  const known = new Map(nads.map((nad) => [`${nad.metadata.namespace}/${nad.metadata.name}`, nad]))
  const keys = new Set([...known.keys(), ...counts.keys()].filter((key) => key !== podNetwork && key !== noNetwork))
  const others = [...keys].toSorted(byText).map((key) => networkRail(key, known.get(key), counts.get(key) ?? 0))
  const fixed = (key: string, kind: Rail['kind'], name: string, detail: string): Rail => ({
    ...{ key, name, kind, detail, namespace: undefined, problem: undefined },
    cables: counts.get(key) ?? 0,
  })
  return [
    fixed(podNetwork, 'pod', words.rail.pod, words.rail.podDetail),
    ...others,
    fixed(noNetwork, 'parking', words.rail.parking, words.rail.parkingDetail),
  ]
}

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

function networkRail(key: string, nad: Stored<NetworkAttachmentDefinition> | undefined, cables: number): Rail {
  const [namespace = '', name = ''] = key.split('/')
  if (!nad) return { key, name, namespace, kind: 'missing', detail: '', problem: words.rail.missing(key), cables }
  return { key, name, namespace, kind: 'nad', cables, ...configOf(nad.spec?.config) }
}

/** What a CNI configuration says, or what is wrong with it. */
function configOf(text: string | undefined): Pick<Rail, 'detail' | 'problem'> {
  const config = parsedJson(text ?? '')
  if (!isObject(config)) return { detail: '', problem: words.rail.broken }
  const plugins = Array.isArray(config.plugins) ? config.plugins : [config]
  const first = plugins.find(isObject) ?? {}
  if (typeof first.type !== 'string' || !first.type) return { detail: '', problem: words.rail.untyped }
  const text2 = (value: unknown) => (typeof value === 'string' || typeof value === 'number' ? String(value) : '')
  const ipam = isObject(first.ipam) ? subnetIn(first.ipam) : ''
  const vlan = text2(first.vlan) && `VLAN ${text2(first.vlan)}`
  const parts = [`${first.type} ${text2(first.bridge) || text2(first.master)}`.trim(), vlan, ipam]
  return { detail: parts.filter(Boolean).join(', '), problem: undefined }
}

function subnetIn({ subnet, ranges }: Readonly<Record<string, unknown>>): string {
  if (typeof subnet === 'string') return subnet
  const first: unknown = Array.isArray(ranges) && Array.isArray(ranges[0]) ? ranges[0][0] : undefined
  return isObject(first) && typeof first.subnet === 'string' ? first.subnet : ''
}
