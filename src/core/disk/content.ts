import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { bytesOfClaim } from './claims.ts'
import type { VolumeContent } from './ports.ts'

/** What is to be on the disk of a DataVolume; `source` is the claim that it copies. Undefined without one that it needs. */
export function contentOf(
  { spec }: Pick<DataVolume, 'spec'>,
  source: PersistentVolumeClaim | undefined,
): VolumeContent | undefined {
  const { http, registry, pvc } = spec.source ?? {}
  if (http) {
    const { url, checksum } = http
    return { is: 'image', pull: { reference: url, isAlways: true, ...(checksum && { checksum }) } }
  }
  if (registry)
    return { is: 'image', pull: { reference: (registry.url ?? '').replace(/^docker:\/\//, ''), isAlways: true } }
  if (!pvc) return { is: 'blank' }
  return source && { is: 'clone', from: source.metadata.uid ?? '', fromBytes: bytesOfClaim(source) }
}
