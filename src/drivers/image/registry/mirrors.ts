/** Where requests for the images of a registry go. */
export type Endpoint = Readonly<{
  /** Ends without a slash. */
  base: string
  /** `HOST[:PORT]` of the server itself: credentials are looked up by it. */
  host: string
  isMirror: boolean
}>

/** Mirrors of registries by host; the catch-all is the one of `*`. */
export type Mirrors = ReadonlyMap<string, URL>

const catchAll = '*'

const hosts: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' }

/**
 * The server that a registry's images are taken from: its mirror, if it has one, and then no other. A host that is loopback is
 * reached without TLS, as Docker does; the guard refuses it unless that is allowed.
 */
export function endpointOf(host: string, mirrors: Mirrors): Endpoint {
  const mirror = mirrors.get(host) ?? mirrors.get(catchAll)
  if (mirror)
    return { base: `${mirror.origin}${mirror.pathname.replace(/\/+$/, '')}`, host: mirror.host, isMirror: true }
  const scheme = isLoopback(host) ? 'http' : 'https'
  return { base: `${scheme}://${hosts[host] ?? host}`, host, isMirror: false }
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host)
}

/** The base of a repository's URLs. A path of the mirror is in front of the repository, as in a project of a proxy cache. */
export function repositoryUrl({ base }: Endpoint, repository: string): string {
  const { origin, pathname } = new URL(base)
  return `${origin}/v2${pathname === '/' ? '' : pathname}/${repository}`
}
