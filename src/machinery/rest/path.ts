import { Fault } from '#base/fault.ts'

/** What the path of a resource request names. */
export type ResourcePath = Readonly<{
  group: string
  version: string
  plural: string
  namespace?: string
  name?: string
  subresource?: string
  /** What follows the subresource, where something may (channels). */
  args?: readonly string[]
}>

/**
 * Splits `/api/v1/…` and `/apis/GROUP/VERSION/…`; undefined for paths that name no resource.
 * @throws Fault BadRequest for escapes that do not decode.
 */
export function parseResourcePath(path: string): ResourcePath | undefined {
  const parts = segmentsOf(path)
  const [root] = parts
  if (root !== 'api' && root !== 'apis') return undefined
  const [group, version, rest] = root === 'api' ? ['', parts[1], parts.slice(2)] : [parts[1], parts[2], parts.slice(3)]
  if (group === undefined || !version || !rest.length) return undefined
  const [plural, name] = rest
  if (plural === 'namespaces' && name !== undefined && rest.length >= 3) {
    // `/namespaces/NAME/status` and `/finalize` are the namespace's own subresources.
    if (rest.length === 3 && (rest[2] === 'status' || rest[2] === 'finalize'))
      return { group, version, plural, name, subresource: rest[2] }
    return resource(group, version, rest.slice(2), name)
  }
  return resource(group, version, rest)
}

function resource(
  group: string,
  version: string,
  [plural, name, subresource, ...more]: string[],
  namespace?: string,
): ResourcePath | undefined {
  if (!plural || more.length) return undefined
  return {
    group,
    version,
    plural,
    ...(namespace !== undefined && { namespace }),
    ...(name !== undefined && { name }),
    ...(subresource !== undefined && { subresource }),
  }
}

/** The segments of a path, decoded; empty ones are left out. @throws Fault BadRequest */
export function segmentsOf(path: string): string[] {
  try {
    return path
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent)
  } catch (cause) {
    throw new Fault('BadRequest', 'The path of the request contains a broken escape', { cause })
  }
}
