import { Fault } from '#base/fault.ts'
import { isList, isObject, type Json, parsedJson } from '#base/json.ts'

/** A blob as a manifest names it. */
export type Blob = Readonly<{ digest: string; size: number }>

/** What a manifest leads to: the layers of an image, lowest first, or the manifest for our platform. */
export type Manifest = Readonly<{ layers: readonly Blob[] } | { platform: string }>

/** The types of manifests that are understood: of OCI and of Docker, with and without platforms. */
export const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

const platform = { os: 'linux', architecture: 'amd64' }
const digestPattern = /^sha256:[0-9a-f]{64}$/
const maxLayers = 256

/** Parses a manifest; `what` names the image. @throws Fault Invalid, NotFound when there is none for our platform */
export function parseManifest(text: string, what: string): Manifest {
  const json = parsedJson(text)
  if (!isObject(json)) throw new Fault('Invalid', `The manifest of ${what} is no JSON object`)
  if (isJsonList(json.manifests)) return { platform: platformDigest(json.manifests, what) }
  if (!isJsonList(json.layers))
    throw new Fault('Invalid', `The manifest of ${what} has no layers: it is no image, or one of the first version`)
  if (json.layers.length > maxLayers) throw new Fault('Invalid', `${what} has more than ${maxLayers} layers`)
  return { layers: json.layers.map((layer) => blobOf(layer, what)) }
}

function isJsonList(value: Json | undefined): value is readonly Json[] {
  return isList(value)
}

function platformDigest(manifests: readonly Json[], what: string): string {
  const fits = manifests.find(
    (one) =>
      isObject(one) &&
      isObject(one.platform) &&
      one.platform.os === platform.os &&
      one.platform.architecture === platform.architecture,
  )
  if (fits) return blobOf(fits, what).digest
  throw new Fault('NotFound', `${what} has no image for ${platform.os}/${platform.architecture}`)
}

function blobOf(value: Json, what: string): Blob {
  const { digest, size } = isObject(value) ? value : {}
  const isValid =
    typeof digest === 'string' && digestPattern.test(digest) && typeof size === 'number' && Number.isSafeInteger(size)
  if (isValid && size >= 0) return { digest, size }
  throw new Fault('Invalid', `The manifest of ${what} names something without a digest (sha256) or a size`)
}
