import { DataSource } from '#apis/cdi/datasource.ts'
import { DataVolume } from '#apis/cdi/datavolume.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import { StorageClass } from '#apis/storage/storageclass.ts'
import { claimWrite, dataVolumeWrite, type Placement } from '#core/access/node.ts'
import { claimErrors, classWithDefaults, storageClassErrors } from '#core/admission/claims.ts'
import { dataSourceErrors } from '#core/admission/data-sources.ts'
import { dataVolumeErrors, type MayRead } from '#core/admission/data-volumes.ts'
import { systemGroup } from '#core/admission/template.ts'
import { claimWithDefaults } from '#core/disk/claims.ts'
import { claimAmounts } from '#core/quota/amounts.ts'
import { countOf } from '#core/quota/judge.ts'
import { uncarriedWarnings } from '#core/vm/uncarried.ts'
import type { Authorizer } from '#machinery/rest/access/authorizer.ts'
import { type Served, serve, type User } from '#machinery/rest/strategy.ts'

/** Claims, classes of storage and DataVolumes. */
export function volumeKinds({
  access,
  placement,
}: Readonly<{ access: Authorizer; placement: Placement }>): readonly Served[] {
  return [
    serve(PersistentVolumeClaim, {
      prepare: (claim, old, user) => claimWithDefaults(claim, old, isSystem(user)),
      validate: (claim, old, user) => claimErrors(claim, old, isSystem(user)),
      amounts: (claim) => ({ ...claimCount, ...claimAmounts(claim) }),
      restrict: (claim, old, user) => claimWrite(user, claim, old),
      warnings: (claim, old) => uncarriedWarnings(PersistentVolumeClaim, claim, old),
    }),
    serve(StorageClass, { prepare: classWithDefaults, validate: storageClassErrors }),
    serve(DataVolume, {
      validate: (dv, old, user) => dataVolumeErrors(dv, old, mayReadIn(access, user)),
      restrict: (dv, _, user) => dataVolumeWrite(user, dv, placement),
      warnings: (dv, old) => uncarriedWarnings(DataVolume, dv, old),
      webhook: 'datavolume-validate.cdi.kubevirt.io',
    }),
    serve(DataSource, { validate: (one, old, user) => dataSourceErrors(one, old, mayReadIn(access, user)) }),
  ]
}

const claimCount = countOf(PersistentVolumeClaim)

function isSystem({ groups }: User): boolean {
  return groups.includes(systemGroup)
}

/** Whether a user may read a claim or a DataSource, and so copy it. The controllers copy what was checked in the VM. */
export function mayReadIn(access: Authorizer, user: User): MayRead {
  const kinds = { PersistentVolumeClaim, DataSource }
  return (kind, namespace, name) => {
    const { group, plural: resource } = kinds[kind]
    return isSystem(user) || access.decide(user, { verb: 'get', group, resource, namespace, name }).allowed
  }
}
