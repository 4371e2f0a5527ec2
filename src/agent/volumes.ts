import { ConfigMap } from '#apis/core/configmap.ts'
import { PersistentVolumeClaim } from '#apis/core/persistentvolumeclaim.ts'
import type { Pod } from '#apis/core/pod.ts'
import { Secret } from '#apis/core/secret.ts'
import type { VirtualMachineInstance } from '#apis/kubevirt/vmi.ts'
import { decodeBase64 } from '#base/base64.ts'
import { bytesOfClaim, isBound, nodeOfClaim } from '#core/disk/claims.ts'
import { dataVolumeOwner } from '#core/disk/data-volumes.ts'
import { wantedImages } from '#core/disk/images.ts'
import { type Claim, type Source, type SourceObjects, sourcesOf } from '#core/disk/sources.ts'
import type { SeenVolumes } from '#core/instance/volumes.ts'
import type { AgentContext } from './context.ts'

/** Observes what the disks of a guest that is to start are made of; undefined for one without volumes. */
export async function observeVolumes(
  context: AgentContext,
  pod: Pod,
  vmi: VirtualMachineInstance,
): Promise<SeenVolumes | undefined> {
  if (!vmi.spec.volumes?.length) return undefined
  const { pulls, diskImages } = context
  const uid = pod.metadata.uid ?? ''
  const pulled = pulls.images(uid)
  const images = new Map(pulled)
  for (const { volume, reference, path, policy } of wantedImages(vmi.spec)) {
    if (images.has(volume) || policy === 'Always') continue
    const found = await diskImages.find(reference, path)
    if (found) images.set(volume, found)
  }
  return { objects: await objectsOf(context, vmi), images, pulling: pulls.pending(uid) }
}

/** Reads the objects that the volumes of an instance name. */
async function objectsOf(context: AgentContext, vmi: VirtualMachineInstance): Promise<SourceObjects> {
  const namespace = vmi.metadata.namespace ?? 'default'
  const sources = sourcesOf(vmi)
  const contents = await Promise.all(sources.map((one) => contentOf(context, namespace, one)))
  const claims = new Map<string, Claim>()
  for (const { kind, name } of sources) {
    const claim = kind === 'PersistentVolumeClaim' ? await claimOf(context, namespace, name) : undefined
    if (claim) claims.set(name, claim)
  }
  const found = new Map(sources.map(({ kind, name }, i) => [`${kind}/${name}`, contents[i]]))
  return {
    secret: (name) => found.get(`Secret/${name}`),
    configMap: (name) => found.get(`ConfigMap/${name}`),
    claim: (name) => claims.get(name),
  }
}

/** A claim, and whether its disk is as it is to be. */
async function claimOf({ client, volumes }: AgentContext, namespace: string, name: string): Promise<Claim | undefined> {
  const claim = await client.get(PersistentVolumeClaim, { namespace, name })
  if (!claim) return undefined
  const { uid } = claim.metadata
  return {
    ...{ uid, bytes: bytesOfClaim(claim), isBound: isBound(claim), node: nodeOfClaim(claim) },
    isPopulated: !dataVolumeOwner(claim) || (await volumes.has(uid)),
  }
}

/** The bytes of a Secret or a ConfigMap by key; undefined when it does not exist. */
export async function contentOf(
  { client }: Pick<AgentContext, 'client'>,
  namespace: string,
  { kind, name }: Source,
): Promise<ReadonlyMap<string, Uint8Array> | undefined> {
  const bytes = (map: Readonly<Record<string, string>> = {}) =>
    Object.entries(map).map(([key, value]) => [key, decodeBase64(value) ?? new Uint8Array()] as const)
  if (kind === 'Secret') {
    const secret = await client.get(Secret, { namespace, name })
    return secret && new Map(bytes(secret.data))
  }
  if (kind === 'PersistentVolumeClaim') return undefined
  const map = await client.get(ConfigMap, { namespace, name })
  const texts = Object.entries(map?.data ?? {}).map(([key, value]) => [key, new TextEncoder().encode(value)] as const)
  return map && new Map([...texts, ...bytes(map.binaryData)])
}
