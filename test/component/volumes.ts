import type { Any } from './api.ts'

export const claimsPath = (namespace: string, name = '') =>
  `/api/v1/namespaces/${namespace}/persistentvolumeclaims${name && `/${name}`}`
export const dataVolumesPath = (namespace: string, name = '') =>
  `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes${name && `/${name}`}`

export const dataSourcesPath = (namespace: string, name = '') =>
  `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datasources${name && `/${name}`}`

const resources = { requests: { storage: '1Gi' } }

/** A claim of one GiB. */
export function claim(name: string, spec: Any = {}): Any {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: { accessModes: ['ReadWriteOnce'], resources, ...spec },
  }
}

/** A DataVolume of one GiB. */
export function dataVolume(name: string, source: Any, form: Any = { storage: { resources } }): Any {
  return { apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume', metadata: { name }, spec: { source, ...form } }
}

/** A VM with one volume more, as a disk on virtio. */
export function withVolumes(manifest: Any, volume: Any, disk: Any = {}): Any {
  const { spec } = manifest.spec.template
  spec.volumes = [volume]
  spec.domain.devices.disks = [{ name: volume.name, disk: { bus: 'virtio' }, ...disk }]
  return manifest
}
