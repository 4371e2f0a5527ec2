import type { DataSource } from '#apis/cdi/datasource.ts'
import type { DataVolume, DataVolumeSpec } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { Matcher, VirtualMachine } from '#apis/kubevirt/vm.ts'
import type { ObjectMeta } from '#apis/meta/object.ts'
import { resolveDataSource, sourceRefOf } from '../disk/data-sources.ts'

type Key = Readonly<{ namespace: string; name: string }>

/** What disks come from, as far as the user who writes may get it. */
export type InferWorld = Readonly<{
  claim: (key: Key) => Pick<PersistentVolumeClaim, 'metadata'> | undefined
  dataVolume: (key: Key) => DataVolume | undefined
  dataSource: (key: Key) => DataSource | undefined
}>

/** The label of a default and that of its kind (KubeVirt). */
export function defaultLabels(role: 'instancetype' | 'preference'): Readonly<{ name: string; kind: string }> {
  const name = `instancetype.kubevirt.io/default-${role}`
  return { name, kind: `${name}-kind` }
}

/** What the disk of a volume names as its default: the nearest that has the label of what it was made from. */
export function inferredFrom(
  vm: VirtualMachine,
  volume: string,
  role: 'instancetype' | 'preference',
  world: InferWorld,
): Matcher | undefined {
  const labels = defaultLabels(role)
  for (const { metadata } of originsOf(vm, volume, world)) {
    const { [labels.name]: name, [labels.kind]: kind } = metadata?.labels ?? {}
    if (name) return { name, ...(kind && { kind }) }
  }
  return undefined
}

/** What is an object in a list; this runs before validation. */
function objectsIn<T>(list: readonly T[] | undefined): readonly T[] {
  return Array.isArray(list) ? list.filter(isPlain) : []
}

function isPlain(one: unknown): boolean {
  return typeof one === 'object' && one !== null
}

/** The objects that a disk is, or is a copy of, nearest first. */
function originsOf(
  { metadata, spec }: VirtualMachine,
  name: string,
  world: InferWorld,
): readonly Readonly<{ metadata?: Pick<ObjectMeta, 'labels'> | undefined }>[] {
  const { namespace = 'default' } = metadata
  const volume = objectsIn(spec.template?.spec?.volumes).find((one) => one.name === name)
  const { persistentVolumeClaim, dataVolume } = volume ?? {}
  const claim = (key: Key) => [world.claim(key) ?? {}]
  if (persistentVolumeClaim) return claim({ namespace, name: persistentVolumeClaim.claimName })
  if (!dataVolume) return []
  const key = { namespace, name: dataVolume.name }
  const dv =
    world.dataVolume(key) ?? objectsIn(spec.dataVolumeTemplates).find((one) => one.metadata?.name === dataVolume.name)
  return dv ? [dv, ...(isPlain(dv.spec) ? sourcesOf(dv.spec, namespace, world) : [])] : claim(key)
}

function sourcesOf(spec: DataVolumeSpec, namespace: string, world: InferWorld) {
  const { pvc } = spec.source ?? {}
  if (pvc) return [world.claim({ namespace: pvc.namespace || namespace, name: pvc.name }) ?? {}]
  const key = sourceRefOf(spec, namespace)
  if (!key) return []
  const resolved = resolveDataSource(key, world.dataSource)
  const found = world.dataSource(key)
  return [found ?? {}, ...('pvc' in resolved ? [world.claim(resolved.pvc) ?? {}] : [])]
}
