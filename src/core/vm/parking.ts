import type { Interface } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { type FieldError, invalidValue, type ObjectMeta } from '#apis/meta/object.ts'
import { isObject, parsedJson } from '#base/json.ts'
import { declaredLink } from './isolation.ts'
import { interfacesIn, withInterfacesIn } from './template-interfaces.ts'

/** On a VM: `true` keeps interfaces that are `absent` in its template, so that they can be plugged again as they were. */
export const parkAnnotation = 'patchbay.dev/park-absent'

/**
 * On a VM: the links of its parked interfaces that are down, as JSON: `{"INTERFACE":"down"}`. Admission keeps it: an interface that
 * becomes `absent` leaves its link there, and one that comes back without a `state` gets the link that is there. Owners may change
 * it meanwhile.
 */
export const parkedLinksAnnotation = 'patchbay.dev/parked-links'

type Link = 'up' | 'down'
type Links = ReadonlyMap<string, Link>

/** Whether a VM keeps its `absent` interfaces, so that they can be plugged again as they were. */
export function isParking({ metadata }: Pick<VirtualMachine, 'metadata'>): boolean {
  return metadata.annotations?.[parkAnnotation] === 'true'
}

/** The link with which an `absent` interface of a VM comes back unless its owner says otherwise. */
export function parkedLink({ metadata }: Pick<VirtualMachine, 'metadata'>, name: string): Link {
  return linksIn(metadata)?.get(name) ?? 'up'
}

/**
 * The metadata of a VM with the link with which an `absent` interface is to come back. `up` is written too, so that in the write
 * in which an interface becomes `absent` it counts for more than the link the interface had; admission takes it out.
 */
export function withParkedLink<T extends ObjectMeta>(metadata: T, name: string, link: Link): T {
  return withLinks(metadata, new Map([...(linksIn(metadata) ?? []), [name, link]]))
}

/** The errors of the annotation with the links of parked interfaces. One that is stored already prevents no other change. */
export function parkedErrors({ metadata }: VirtualMachine, old: VirtualMachine | undefined): FieldError[] {
  const text = metadata.annotations?.[parkedLinksAnnotation]
  if (linksIn(metadata) || text === old?.metadata.annotations?.[parkedLinksAnnotation]) return []
  const message = `Invalid value: ${JSON.stringify(text?.slice(0, 64))}: the annotation ${parkedLinksAnnotation} has to be a JSON object with "up" or "down" for each parked interface, like {"red":"down"}`
  return [invalidValue(`metadata.annotations[${parkedLinksAnnotation}]`, message)]
}

/**
 * The VM with the links of its parked interfaces remembered, and those of interfaces that come back restored. It may not have been
 * validated: what has another shape is left for validation to refuse.
 */
export function withParkedLinks(vm: VirtualMachine, old: VirtualMachine | undefined): VirtualMachine {
  const given = linksIn(vm.metadata)
  const interfaces = interfacesIn(vm)
  if (!given || !interfaces || !isObject(vm.metadata.annotations ?? {})) return vm
  const before = new Map((old && interfacesIn(old))?.map((one) => [one.name, one]))
  const stored: Links = (old && linksIn(old.metadata)) ?? new Map()
  // A manifest that replaces the VM and knows nothing of the annotation does not lose the links of what it plugs again.
  const known = vm.metadata.annotations?.[parkedLinksAnnotation] === undefined ? stored : given
  const isKept = isParking(vm)
  const links = new Map<string, Link>()
  const restored = interfaces.map((one): Interface => {
    const was = before.get(one.name)
    if (one.state !== 'absent') {
      const isBack = was?.state === 'absent' && one.state === undefined && (isKept || (old && isParking(old)))
      return isBack && known.get(one.name) === 'down' ? { ...one, state: 'down' } : one
    }
    const isLeaving = isKept && was !== undefined && was.state !== 'absent'
    const isTold = given.get(one.name) !== stored.get(one.name)
    const link = old && isLeaving && !isTold ? declaredLink(old, was) : given.get(one.name)
    if (link === 'down') links.set(one.name, link)
    return one
  })
  const metadata = withLinks(vm.metadata, links)
  if (restored.every((one, i) => one === interfaces[i])) return { ...vm, metadata }
  return withInterfacesIn({ ...vm, metadata }, restored)
}

/** The links in an annotation; none without it, and undefined when it cannot be read. */
function linksIn({ annotations }: ObjectMeta): Links | undefined {
  const text = annotations?.[parkedLinksAnnotation]
  if (text === undefined) return new Map()
  const value = parsedJson(text)
  if (!isObject(value)) return undefined
  const entries = Object.entries(value).flatMap(([name, link]): [string, Link][] =>
    link === 'up' || link === 'down' ? [[name, link]] : [],
  )
  return entries.length === Object.keys(value).length ? new Map(entries) : undefined
}

function withLinks<T extends ObjectMeta>(metadata: T, links: Links): T {
  const { [parkedLinksAnnotation]: text, ...others } = metadata.annotations ?? {}
  const now = linksIn(metadata)
  const isSame = now?.size === links.size && [...links].every(([name, link]) => now.get(name) === link)
  // The owner's spelling stays.
  if (isSame && (links.size || text === undefined)) return metadata
  const wanted = links.size ? { [parkedLinksAnnotation]: JSON.stringify(Object.fromEntries(links)) } : {}
  return { ...metadata, annotations: { ...others, ...wanted } }
}
