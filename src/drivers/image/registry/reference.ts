import { Fault } from '#base/fault.ts'

/** A reference to an image of a registry, complete: `docker.io/library/debian:12`. */
export type Reference = Readonly<{
  /** The registry, `HOST[:PORT]`. */
  host: string
  /** The path of the repository. */
  repository: string
  tag?: string
  /** `sha256:…`; it wins over the tag. */
  digest?: string
}>

const defaultHost = 'docker.io'

/** The grammar of the distribution specification. */
const componentPattern = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*$/
const tagPattern = /^\w[\w.-]{0,127}$/
const digestPattern = /^sha256:[0-9a-f]{64}$/
const hostPattern = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i
const maxRepository = 255

/** Parses a reference as Docker does; `docker://` in front of it (CDI) is passed over. @throws Fault Invalid */
export function parseReference(text: string): Reference {
  const [rest = '', digest, ...more] = text.replace(/^docker:\/\//, '').split('@')
  // A colon after the last slash begins a tag; one before it, a port.
  const colon = rest.indexOf(':', rest.lastIndexOf('/') + 1)
  const tag = colon < 0 ? undefined : rest.slice(colon + 1)
  const { host, path } = splitHost(colon < 0 ? rest : rest.slice(0, colon))
  const repository = host === defaultHost && !path.includes('/') ? `library/${path}` : path
  const isValid =
    more.length === 0 &&
    hostPattern.test(host) &&
    repository.length <= maxRepository &&
    repository.split('/').every((part) => componentPattern.test(part)) &&
    (tag === undefined || tagPattern.test(tag)) &&
    (digest === undefined || digestPattern.test(digest))
  if (!isValid)
    throw new Fault(
      'Invalid',
      `${JSON.stringify(text)} is no reference to an image; write it like quay.io/containerdisks/fedora:41 or NAME@sha256:DIGEST`,
    )
  if (digest !== undefined) return { host, repository, ...(tag !== undefined && { tag }), digest }
  return { host, repository, tag: tag ?? 'latest' }
}

/** The first part is a host if it could be no part of a path: it has a dot or a colon, or is `localhost`. */
function splitHost(name: string): { host: string; path: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(0, slash))
  if (!/[.:]/.test(first) && first !== 'localhost') return { host: defaultHost, path: name }
  const host = first.toLowerCase()
  return { host: host === 'index.docker.io' ? defaultHost : host, path: name.slice(slash + 1) }
}

/** The reference in full, by which it is remembered. */
export function referenceText({ host, repository, tag, digest }: Reference): string {
  return `${host}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}
