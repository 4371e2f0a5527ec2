import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { type FieldError, invalidValue, type ObjectMeta } from '#apis/meta/object.ts'
import { isObject } from '#base/json.ts'
import { bindings } from '../nic/bindings.ts'
import { wantedNics } from '../nic/desired.ts'
import { mirrorAnnotation, mirrorVerb, sourcesIn } from '../nic/mirror.ts'
import { isNad } from '../nic/nic.ts'

/** Most networks that are copied to the interfaces of one VM: each costs its host a copy of every frame. */
const maxSources = 16

type Metadata = Pick<ObjectMeta, 'namespace' | 'annotations'>

/** What a VM's instance has of its annotations: those of the template count as well. */
export function instanceMetadata({ metadata, spec }: VirtualMachine): Metadata {
  const { namespace, annotations } = metadata
  const template = isObject(spec.template.metadata) ? spec.template.metadata : {}
  const own = isObject(template.annotations) ? (template as Metadata).annotations : {}
  return { ...(namespace !== undefined && { namespace }), annotations: { ...own, ...annotations } }
}

/** The errors of an object's sources; those that are stored already prevent no other change. */
export function mirrorErrors(metadata: Metadata, old: Metadata | undefined, spec: VmiSpec): FieldError[] {
  const text = metadata.annotations?.[mirrorAnnotation]
  if (text === undefined || text === old?.annotations?.[mirrorAnnotation]) return []
  const bad = (message: string) => invalidValue(`metadata.annotations[${mirrorAnnotation}]`, message)
  const sources = sourcesIn(metadata)
  if (!sources)
    return [
      bad(
        `Invalid value: ${JSON.stringify(text.slice(0, 64))}: the annotation ${mirrorAnnotation} has to be a JSON object with a list of networks for each interface, like {"red":["blue"]}`,
      ),
    ]
  const { namespace = 'default' } = metadata
  const nics = new Map(wantedNics(spec, namespace).map((nic) => [nic.name, nic]))
  const count = [...sources.values()].flat().length
  return [
    ...(count > maxSources
      ? [bad(`the annotation ${mirrorAnnotation} names ${count} networks; at most ${maxSources} can be copied to a VM`)]
      : []),
    ...[...sources].flatMap(([name, networks]): FieldError[] => {
      const nic = nics.get(name)
      if (!nic)
        return [bad(`there is no interface "${name}" to copy traffic to; it has: ${[...nics.keys()].join(', ')}`)]
      if (bindings[nic.binding].attach !== 'tap')
        return [bad(`interface "${name}" is no tap of the host, and no traffic can be copied to it`)]
      return networks
        .filter((network) => !isNad(network) || network.split('/').length !== 2)
        .map((network) => bad(`"${network}" is no NetworkAttachmentDefinition whose traffic can be copied`))
    }),
  ]
}

/** The sources that `metadata` has and `old` has not: pairs of an interface and a network. */
function newSources(metadata: Metadata, old: Metadata | undefined): readonly (readonly [string, string])[] {
  const before = (old && sourcesIn(old)) ?? new Map<string, readonly string[]>()
  return [...(sourcesIn(metadata) ?? [])].flatMap(([nic, networks]) =>
    networks.filter((network) => !before.get(nic)?.includes(network)).map((network) => [nic, network] as const),
  )
}

/**
 * Why a user may not write the sources of an object; undefined when they may. Only what a write adds is asked about, so that
 * others may change the rest of the object. Nothing is looked up, so that a refusal does not reveal what exists.
 */
export function mirrorRefusal(
  metadata: Metadata,
  old: Metadata | undefined,
  { user, mayMirror }: Readonly<{ user: string; mayMirror: (namespace: string, name: string) => boolean }>,
): string | undefined {
  const lacking = newSources(metadata, old).flatMap(([nic, network]) => {
    const [namespace = '', ...rest] = network.split('/')
    return mayMirror(namespace, rest.join('/')) ? [] : [`${network} to interface "${nic}"`]
  })
  if (!lacking.length) return undefined
  return `user ${JSON.stringify(user)} cannot copy the traffic of ${lacking.join(', ')}: that takes the verb "${mirrorVerb}" on each of these network-attachment-definitions.k8s.cni.cncf.io; have a role there give it`
}
