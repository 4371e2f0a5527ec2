import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import type { ImagePull } from '../ports.ts'
import { guestDisks } from './disk.ts'
import { dockerConfigKey, dockerCredentials } from './docker-config.ts'
import type { SourceObjects } from './sources.ts'

/** The image that a volume of an instance names. */
export type WantedImage = Readonly<{
  volume: string
  reference: string
  path?: string
  policy: 'Always' | 'IfNotPresent' | 'Never'
  /** Name of the Secret with credentials. */
  secret?: string
}>

/** The images that the disks of an instance are over. */
export function wantedImages(spec: VmiSpec): WantedImage[] {
  return guestDisks(spec).flatMap(({ volume }): WantedImage[] => {
    if (!volume?.containerDisk) return []
    const { image, path, imagePullPolicy, imagePullSecret } = volume.containerDisk
    return [
      {
        volume: volume.name,
        reference: image,
        ...(path && { path }),
        policy: imagePullPolicy === 'Always' || imagePullPolicy === 'Never' ? imagePullPolicy : 'IfNotPresent',
        ...(imagePullSecret && { secret: imagePullSecret }),
      },
    ]
  })
}

/** What is to be pulled for a volume. A Secret that is missing or has no credentials is none, as for kubelet. */
export function pullOf({ reference, path, policy, secret }: WantedImage, objects: SourceObjects): ImagePull {
  const config = secret === undefined ? undefined : objects.secret(secret)?.get(dockerConfigKey)
  const credentials = config && dockerCredentials(new TextDecoder().decode(config))
  return {
    reference,
    ...(path !== undefined && { path }),
    isAlways: policy === 'Always',
    ...(credentials && { credentials }),
  }
}
