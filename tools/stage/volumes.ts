const namespace = 'default'
const accessModes = ['ReadWriteOnce']

/** A PersistentVolumeClaim. */
export function claim(name: string, storage = '1Gi') {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace },
    spec: { accessModes, resources: { requests: { storage } } },
  }
}

/** A DataVolume with the content of a source. */
export function dataVolume(name: string, source: object, storage = '1Gi') {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: { name, namespace },
    spec: { source, storage: { accessModes, resources: { requests: { storage } } } },
  }
}

type Vm = Readonly<{
  spec: Readonly<{ template: Readonly<{ spec: Readonly<{ domain: Readonly<{ devices: object }> }> }> }>
}>

/** A VM with disks on virtio, one for each volume. */
export function withVolumes(
  vm: Vm,
  ...volumes: readonly (Readonly<{ name: string }> & Readonly<Record<string, unknown>>)[]
) {
  const { spec } = vm.spec.template
  const disks = volumes.map(({ name }) => ({ name, disk: { bus: 'virtio' } }))
  const domain = { ...spec.domain, devices: { ...spec.domain.devices, disks } }
  return { ...vm, spec: { ...vm.spec, template: { ...vm.spec.template, spec: { ...spec, domain, volumes } } } }
}

/** Paths of claims and DataVolumes. */
export const claimPath = (name: string) => `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`
export const dataVolumePath = (name: string) =>
  `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes/${name}`
