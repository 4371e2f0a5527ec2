import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { isObject, parsedJson } from '#base/json.ts'

export const parkedLinksAnnotation = 'patchbay.dev/parked-links'

type Noted = Pick<VirtualMachine, 'metadata'>

export function parkedLink({ metadata }: Noted, name: string): 'up' | 'down' {
  const value = parsedJson(metadata.annotations?.[parkedLinksAnnotation] ?? '{}')
  return isObject(value) && value[name] === 'down' ? 'down' : 'up'
}

export function withParkedLink<T extends Noted>(vm: T, name: string, link: 'up' | 'down'): T {
  if (parkedLink(vm, name) === link) return vm
  const value = parsedJson(vm.metadata.annotations?.[parkedLinksAnnotation] ?? '{}')
  const { [name]: _, ...others } = isObject(value) ? value : {}
  const links = link === 'down' ? { ...others, [name]: link } : others
  const { [parkedLinksAnnotation]: _old, ...rest } = vm.metadata.annotations ?? {}
  const annotations = Object.keys(links).length ? { ...rest, [parkedLinksAnnotation]: JSON.stringify(links) } : rest
  return { ...vm, metadata: { ...vm.metadata, annotations } }
}
