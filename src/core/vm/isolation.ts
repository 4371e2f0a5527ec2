import type { Interface } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { type FieldError, invalidValue, type ObjectMeta } from '#apis/meta/object.ts'
import { isObject, parsedJson } from '#base/json.ts'
import { hasTrait } from '../nic/bindings.ts'
import { linkOf } from '../nic/desired.ts'
import { interfacesIn, withInterfacesIn } from './template-interfaces.ts'

/**
 * On a VM: all its cables are pulled, and this says which of them were up, as JSON: `{"INTERFACE":"up"|"down"}`. Admission keeps
 * it: an interface that comes meanwhile is noted as its owner has declared it, and its cable is pulled.
 */
export const isolatedAnnotation = 'patchbay.dev/isolated'

type Link = 'up' | 'down'
type Links = ReadonlyMap<string, Link>
type Annotated = Readonly<{ metadata: Pick<ObjectMeta, 'annotations'> }>

/** A merge patch of a VM: all in one write, so that no cable is pulled without its note. */
type IsolationPatch = Readonly<{
  metadata: Readonly<{ annotations: Readonly<Record<string, string | null>> }>
  spec: Readonly<{
    template: Readonly<{
      spec: Readonly<{ domain: Readonly<{ devices: Readonly<{ interfaces: readonly Interface[] }> }> }>
    }>
  }>
}>

/** What isolating or rejoining does to a VM: a patch and the links it declares, nothing, or a refusal; both say why. */
export type Change =
  | Readonly<{ patch: IsolationPatch; links: Links }>
  | Readonly<{ already: string }>
  | Readonly<{ refuse: string }>

/** Whether all cables of a VM were pulled at once, and not put back. */
export function isIsolated({ metadata }: Annotated): boolean {
  return metadata.annotations?.[isolatedAnnotation] !== undefined
}

/** The link that the owner of an interface has declared, whether or not the VM is isolated. */
export function declaredLink({ metadata }: Annotated, { name, state }: Pick<Interface, 'name' | 'state'>): Link {
  return linksIn(metadata)?.get(name) ?? linkOf(state)
}

/** Pulls all cables of a VM in one write, and notes which were up. A card that is `absent` has none. */
export function isolate(vm: VirtualMachine): Change {
  const { name } = vm.metadata
  if (isIsolated(vm)) return { already: `VM ${name} is isolated already` }
  const all = interfacesIn(vm) ?? []
  const fixed = all.filter((one) => one.state !== 'absent' && !isCuttable(one)).map((one) => one.name)
  if (fixed.length) return { refuse: `VM ${name} cannot be isolated: ${uncuttable(fixed)}` }
  const cards = all.filter(({ state }) => state !== 'absent')
  const noted = new Map(cards.map((one): [string, Link] => [one.name, linkOf(one.state)]))
  const interfaces = all.map((one) => (noted.get(one.name) === 'up' ? { ...one, state: 'down' } : one))
  const links = new Map(cards.map((one): [string, Link] => [one.name, 'down']))
  return { patch: patchOf(textOf(noted), interfaces), links }
}

/** Puts back the cables that isolating has pulled, and leaves those that were pulled before. */
export function rejoin(vm: VirtualMachine): Change {
  if (!isIsolated(vm)) return { already: `VM ${vm.metadata.name} is not isolated` }
  const noted = linksIn(vm.metadata) ?? new Map<string, Link>()
  const links = new Map<string, Link>()
  const interfaces = (interfacesIn(vm) ?? []).map((one): Interface => {
    const link = noted.get(one.name)
    if (one.state === 'absent' || link === undefined) return one
    links.set(one.name, link)
    if (linkOf(one.state) === link) return one
    const { state: _, ...rest } = one
    return link === 'down' ? { ...rest, state: 'down' } : rest
  })
  return { patch: patchOf(null, interfaces), links }
}

/**
 * An isolated VM with the cables of what was added pulled, and what its owner has declared noted. A manifest that knows nothing of
 * it and leaves a `state` out puts no cable back; `up` does. It may not have been validated.
 */
export function withIsolation(vm: VirtualMachine, old: VirtualMachine | undefined): VirtualMachine {
  const noted = linksIn(vm.metadata)
  const interfaces = interfacesIn(vm)
  if (!noted || !interfaces || !isIsolated(vm)) return vm
  const before = new Map((old && interfacesIn(old))?.map((one) => [one.name, one]))
  const links = new Map<string, Link>()
  const held = interfaces.map((one): Interface => {
    const was = before.get(one.name)
    const isNew = was === undefined || was.state === 'absent'
    if (one.state === 'absent' || !isCuttable(one)) return one
    const isKnown = !isNew || old === undefined
    links.set(one.name, (isKnown ? noted.get(one.name) : undefined) ?? linkOf(one.state))
    const isLeftOut = one.state === undefined && linkOf(was?.state) === 'down'
    return (isNew || isLeftOut) && linkOf(one.state) === 'up' ? { ...one, state: 'down' } : one
  })
  const isSame = links.size === noted.size && [...links].every(([name, link]) => noted.get(name) === link)
  const annotations = { ...vm.metadata.annotations, [isolatedAnnotation]: textOf(links) }
  const metadata = isSame ? vm.metadata : { ...vm.metadata, annotations }
  return held.every((one, i) => one === interfaces[i])
    ? { ...vm, metadata }
    : withInterfacesIn({ ...vm, metadata }, held)
}

/** The errors of an isolated VM: a note that cannot be read, and cards that come and cannot be cut. */
export function isolationErrors(vm: VirtualMachine, old: VirtualMachine | undefined): FieldError[] {
  if (!isIsolated(vm)) return []
  const text = vm.metadata.annotations?.[isolatedAnnotation]
  const field = `metadata.annotations[${isolatedAnnotation}]`
  if (!linksIn(vm.metadata) && text !== old?.metadata.annotations?.[isolatedAnnotation]) {
    const message = `Invalid value: ${JSON.stringify(text?.slice(0, 64))}: the annotation ${isolatedAnnotation} has to be a JSON object with "up" or "down" for each interface, like {"red":"up"}`
    return [invalidValue(field, message)]
  }
  const there = old && isIsolated(old) ? interfacesIn(old) : []
  const before = new Set(there?.map((one) => one.name))
  const fixed = (interfacesIn(vm) ?? []).filter((one) => one.state !== 'absent' && !isCuttable(one))
  const names = fixed.map((one) => one.name).filter((name) => !before.has(name))
  if (!names.length) return []
  return [invalidValue(field, `Invalid value: the VM is isolated, and ${uncuttable(names)}`)]
}

/** Whether an interface can be declared `down`; one without a binding will get one that can. */
function isCuttable(one: Interface): boolean {
  return !hasTrait(one, ({ states }) => !states.includes('down'))
}

function uncuttable(names: readonly string[]): string {
  const which = names.length === 1 ? `interface ${names[0]}` : `interfaces ${names.join(', ')}`
  return `${which} cannot be cut, since the binding has no link state; stop the VM instead`
}

/** The links in the note; undefined without one, and when it cannot be read. */
function linksIn({ annotations }: Pick<ObjectMeta, 'annotations'>): Links | undefined {
  const text = annotations?.[isolatedAnnotation]
  const value = text === undefined ? undefined : parsedJson(text)
  if (!isObject(value)) return undefined
  const entries = Object.entries(value).flatMap(([name, link]): [string, Link][] =>
    link === 'up' || link === 'down' ? [[name, link]] : [],
  )
  return entries.length === Object.keys(value).length ? new Map(entries) : undefined
}

function textOf(links: Links): string {
  return JSON.stringify(Object.fromEntries(links))
}

function patchOf(note: string | null, interfaces: readonly Interface[]): IsolationPatch {
  return {
    metadata: { annotations: { [isolatedAnnotation]: note } },
    spec: { template: { spec: { domain: { devices: { interfaces } } } } },
  }
}
