import type { DataVolume } from '#apis/cdi/datavolume.ts'
import type { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { type AccessObjects, accessOf } from './access.ts'
import { bytesOfClaim } from './claims.ts'
import type { VolumeContent } from './ports.ts'

/** What there is of the objects that a DataVolume names. `source` is the claim that it copies. */
type Named = AccessObjects & Readonly<{ source: PersistentVolumeClaim | undefined }>

/** What is to be on the disk of a DataVolume, or why that has to wait, if there is a sentence about it. */
export function contentOf(
  dv: Pick<DataVolume, 'spec' | 'metadata'>,
  { source, ...objects }: Named,
): VolumeContent | Readonly<{ is: 'waiting'; message?: string }> {
  const { http, registry } = dv.spec.source ?? {}
  if (http || registry) {
    const access = accessOf(dv, objects)
    if ('waits' in access) return { is: 'waiting', message: access.waits }
    const reference = http?.url ?? (registry?.url ?? '').replace(/^docker:\/\//, '')
    const checksum = http?.checksum
    return { is: 'image', pull: { reference, isAlways: true, ...(checksum && { checksum }), ...access } }
  }
  if (dv.spec.source?.upload) return { is: 'waiting' }
  if (dv.spec.source?.blank) return { is: 'blank' }
  return source ? { is: 'clone', from: source.metadata.uid ?? '', fromBytes: bytesOfClaim(source) } : { is: 'waiting' }
}
