import type { Command } from 'commander'
import { Fault } from '#base/fault.ts'

/** Where disk images are downloaded from, and how. */
export type DownloadOptions = Readonly<{
  /** Mirrors of registries by host; the one of `*` is for all others. */
  mirrors: ReadonlyMap<string, URL>
  /** A file with certificates (PEM) of authorities to trust besides the usual ones. */
  caFile?: string
  proxy?: URL
  isLocalAllowed: boolean
}>

/** The options of `addDownloadOptions` as parsed. */
export type GivenDownloads = Readonly<{
  registryMirror: readonly string[]
  imageCa?: string
  imageProxy?: string
  allowLocalDownloads: boolean
}>

/** Adds the options about downloads of disk images to a command. */
export function addDownloadOptions(command: Command): Command {
  return command
    .option(
      '--registry-mirror <[host=]url>',
      'take the images of a registry, or of all others, from this one instead; may be repeated',
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .option('--image-ca <file>', 'certificates (PEM) that downloads of images trust besides the usual ones')
    .option('--image-proxy <url>', 'proxy for downloads of images, mirrors apart')
    .option(
      '--allow-local-downloads',
      'let images be downloaded from this host itself and its own link, which users could misuse',
      false,
    )
}

/** @throws Fault Invalid that names the option */
export function downloadOptionsOf(given: GivenDownloads): DownloadOptions {
  const { registryMirror, imageCa, imageProxy, allowLocalDownloads } = given
  const mirrors = new Map<string, URL>()
  for (const text of registryMirror) {
    const { host, url } = mirrorOf('--registry-mirror', text)
    if (mirrors.has(host)) throw new Fault('Invalid', `--registry-mirror ${text}: there is another mirror of ${host}`)
    mirrors.set(host, url)
  }
  return {
    mirrors,
    isLocalAllowed: allowLocalDownloads,
    ...(imageCa !== undefined && { caFile: imageCa }),
    ...(imageProxy !== undefined && { proxy: proxyOf('--image-proxy', imageProxy) }),
  }
}

/** `[HOST=]URL`; without a host it is for all registries that have no other. */
function mirrorOf(option: string, text: string): Readonly<{ host: string; url: URL }> {
  const [, host = '*', address = ''] = /^(?:([\w.:[\]-]+)=)?(.*)$/.exec(text) ?? []
  const url = webUrl(address)
  if (url && !url.username && !url.password && !url.search && !url.hash) return { host: host.toLowerCase(), url }
  throw new Fault('Invalid', `${option} ${text} is no [HOST=]URL, such as quay.io=https://mirror.example/quay`)
}

function proxyOf(option: string, text: string): URL {
  const url = webUrl(text)
  if (url) return url
  throw new Fault('Invalid', `${option} ${text} is no URL of a proxy, such as http://proxy.example:3128`)
}

function webUrl(text: string): URL | undefined {
  const url = URL.parse(text)
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url : undefined
}
