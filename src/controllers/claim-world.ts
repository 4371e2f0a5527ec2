import type { ClaimWorld } from '#core/disk/readiness.ts'
import type { ControllerContext } from './context.ts'

/** The claims of a namespace, as far as the caches know. */
export function claimWorld(
  { claims, dataVolumes, vmis }: Pick<ControllerContext, 'claims' | 'dataVolumes' | 'vmis'>,
  namespace: string,
): ClaimWorld {
  return {
    claim: (name) => claims.get({ namespace, name }),
    dataVolume: (name) => dataVolumes.get({ namespace, name }),
    users: (name) => vmis.indexed('byClaim', `${namespace}/${name}`),
  }
}
