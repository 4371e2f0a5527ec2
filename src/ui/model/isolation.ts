import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { JsonObject } from '#base/json.ts'
import { linkOf } from '#core/nic/desired.ts'

/** On a VM that is isolated: the interfaces whose links were up, as JSON. */
export const isolatedAnnotation = 'patchbay.dev/isolated'
/** On a VM whose link is made to flap: how, as JSON. */
const flapAnnotation = 'patchbay.dev/flap'

export function isIsolated({ metadata }: Pick<VirtualMachine, 'metadata'>): boolean {
  return metadata.annotations?.[isolatedAnnotation] !== undefined
}

export function flapOf({ metadata }: Pick<VirtualMachine, 'metadata'>): string | undefined {
  return metadata.annotations?.[flapAnnotation]
}

const pathOf = (index: number) => `/spec/template/spec/domain/devices/interfaces/${index}/state`
const annotationPath = `/metadata/annotations/${isolatedAnnotation.replace('/', '~1')}`

/** The JSON patch that pulls every cable of a VM and notes which were up. */
export function isolate(vm: VirtualMachine): JsonObject[] {
  const interfaces = vm.spec.template.spec.domain.devices.interfaces ?? []
  const up = interfaces.flatMap((one, index) =>
    one.state !== 'absent' && linkOf(one.state) === 'up' ? [{ name: one.name, index }] : [],
  )
  return [
    { op: 'test', path: '/metadata/generation', value: vm.metadata.generation ?? 0 },
    ...(vm.metadata.annotations ? [] : [{ op: 'add', path: '/metadata/annotations', value: {} }]),
    { op: 'add', path: annotationPath, value: JSON.stringify(up.map(({ name }) => name)) },
    ...up.map(({ index }) => ({ op: 'add', path: pathOf(index), value: 'down' })),
  ]
}

/** The JSON patch that puts back exactly the cables that isolating pulled. */
export function rejoin(vm: VirtualMachine): JsonObject[] {
  const names = namesIn(vm.metadata.annotations?.[isolatedAnnotation])
  const interfaces = vm.spec.template.spec.domain.devices.interfaces ?? []
  return [
    { op: 'test', path: '/metadata/generation', value: vm.metadata.generation ?? 0 },
    { op: 'remove', path: annotationPath },
    ...interfaces.flatMap((one, index) =>
      names.includes(one.name) && one.state !== 'absent' && linkOf(one.state) === 'down'
        ? [{ op: 'replace', path: pathOf(index), value: 'up' }]
        : [],
    ),
  ]
}

function namesIn(text: string | undefined): readonly string[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]')
    return Array.isArray(value) ? value.map(String) : []
  } catch {
    // An annotation that cannot be read puts back nothing.
    return []
  }
}
