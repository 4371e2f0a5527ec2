import type { DataSource, DataSourceStatus } from '#apis/cdi/datasource.ts'
import type { DataVolume, DataVolumeSpec } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { withCondition } from '../vm/conditions.ts'

type Key = Readonly<{ namespace: string; name: string }>

/** The DataSources, claims and DataVolumes that there are. */
type World = Readonly<{
  dataSource: (key: Key) => DataSource | undefined
  claim: (key: Key) => PersistentVolumeClaim | undefined
  dataVolume: (key: Key) => DataVolume | undefined
}>

/** A claim to copy, or why there is none; `reason` is one of CDI's. */
type Resolved = Readonly<{ pvc: Key } | { reason: string; message: string }>

/** How many DataSources one leads over. */
const maxReferences = 8

/** The DataSource that a DataVolume names. */
export function sourceRefOf(spec: DataVolumeSpec, namespace: string): Key | undefined {
  const { sourceRef } = spec
  return sourceRef && { namespace: sourceRef.namespace || namespace, name: sourceRef.name }
}

/** The claim that a DataSource stands for, maybe over others. */
export function resolveDataSource(key: Key, find: World['dataSource']): Resolved {
  let at = key
  for (let hops = 0; hops <= maxReferences; hops++) {
    const found = find(at)
    if (!found)
      return {
        reason: 'NotFound',
        message: `DataSource ${at.namespace}/${at.name} does not exist, waiting for it to appear`,
      }
    const { pvc, dataSource } = found.spec.source
    if (pvc) return { pvc: { namespace: pvc.namespace || at.namespace, name: pvc.name } }
    if (!dataSource) return { reason: 'NoSource', message: 'No source PVC set' }
    at = { namespace: dataSource.namespace || at.namespace, name: dataSource.name }
  }
  return {
    reason: 'MaxReferenceDepthReached',
    message: `DataSource ${key.namespace}/${key.name} leads over more than ${maxReferences} others; let it name a PVC`,
  }
}

/** The status of a DataSource: whether its claim can be copied, in CDI's words. */
export function dataSourceStatus(one: DataSource, world: World, now: string): DataSourceStatus {
  const { namespace = 'default', name } = one.metadata
  const resolved = resolveDataSource({ namespace, name }, (key) =>
    key.namespace === namespace && key.name === name ? one : world.dataSource(key),
  )
  const { source: _, ...old } = one.status ?? {}
  const ready = 'pvc' in resolved ? readinessOf(resolved.pvc, world) : { status: 'False' as const, ...resolved }
  return {
    ...old,
    ...('pvc' in resolved && { source: { pvc: resolved.pvc } }),
    conditions: withCondition(one.status?.conditions, { type: 'Ready', ...ready }, now),
  }
}

function readinessOf(pvc: Key, { claim, dataVolume }: World) {
  const dv = dataVolume(pvc)
  const phase = dv?.status?.phase ?? 'Pending'
  if (dv && phase !== 'Succeeded')
    return { status: 'False', reason: phase, message: `Import DataVolume phase ${phase}` } as const
  return claim(pvc)
    ? ({ status: 'True', reason: 'Ready', message: 'DataSource is ready to be consumed' } as const)
    : ({ status: 'False', reason: 'NotFound', message: 'PVC not found' } as const)
}
