import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { decodeBase64 } from '#base/base64.ts'
import { isObject } from '#base/json.ts'
import type { ImagePull, RegistryCredentials } from '../ports.ts'
import { guestDisks } from './disk.ts'
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

/** The key of a registry's credentials in a Secret of type kubernetes.io/dockerconfigjson. */
const configKey = '.dockerconfigjson'

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
  const config = secret === undefined ? undefined : objects.secret(secret)?.get(configKey)
  const credentials = config && credentialsIn(new TextDecoder().decode(config))
  return {
    reference,
    ...(path !== undefined && { path }),
    isAlways: policy === 'Always',
    ...(credentials && { credentials }),
  }
}

/** The credentials in a configuration of docker; those that cannot be read are left out. */
export function credentialsIn(config: string): RegistryCredentials {
  const found = new Map<string, { username: string; password: string }>()
  const auths = parsed(config)
  for (const [host, entry] of Object.entries(auths)) {
    if (!isObject(entry)) continue
    const { username, password, auth } = entry
    const decoded = typeof auth === 'string' ? new TextDecoder().decode(decodeBase64(auth) ?? new Uint8Array()) : ''
    const at = decoded.indexOf(':')
    const pair =
      typeof username === 'string' && typeof password === 'string'
        ? { username, password }
        : at > 0 && { username: decoded.slice(0, at), password: decoded.slice(at + 1) }
    // Some tools write addresses.
    if (pair) found.set(host.replace(/^https?:\/\//, '').replace(/\/.*$/, ''), pair)
  }
  return found
}

function parsed(config: string): Readonly<Record<string, unknown>> {
  try {
    const { auths } = JSON.parse(config)
    return isObject(auths) ? auths : {}
  } catch {
    return {}
  }
}
