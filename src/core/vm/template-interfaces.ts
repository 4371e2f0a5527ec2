import type { Interface } from '#apis/kubevirt/interface.ts'
import type { VirtualMachine } from '#apis/kubevirt/vm.ts'
import { isObject } from '#base/json.ts'

/** The interfaces of a VM's template, which may have any shape; undefined for one that has none. */
export function interfacesIn({ spec }: VirtualMachine): readonly Interface[] | undefined {
  const interfaces = spec?.template?.spec?.domain?.devices?.interfaces
  return Array.isArray(interfaces) && !interfaces.some((one) => !isObject(one)) ? interfaces : undefined
}

/** A VM with other interfaces in its template, which has some. */
export function withInterfacesIn(vm: VirtualMachine, interfaces: readonly Interface[]): VirtualMachine {
  const { template } = vm.spec
  const { domain } = template.spec
  const spec = { ...template.spec, domain: { ...domain, devices: { ...domain.devices, interfaces } } }
  return { ...vm, spec: { ...vm.spec, template: { ...template, spec } } }
}
