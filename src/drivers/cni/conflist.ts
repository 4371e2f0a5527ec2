import { isDeeperThan, isObject, type JsonObject } from '#base/json.ts'
import { highestSupported, supportedVersions } from './versions.ts'

/** One plugin of a chain, with everything its author wrote. */
export type PluginConf = JsonObject & Readonly<{ type: string }>

/** A CNI network configuration list, run as what `cniVersion` says. A single configuration is a list of one. */
export type Conflist = Readonly<{ cniVersion: string; name: string; plugins: readonly PluginConf[] }>

/** The assumed version of a configuration that has none. */
const defaultVersion = '0.3.1'
const networkName = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/
const pluginName = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/

/** Deepest nesting of a configuration: it is copied and compared level by level. */
const maxDepth = 100

/** Longest configuration, characters; real ones have some hundred. */
const maxText = 64 * 1024

/** Most errors reported at once, and most characters quoted of a value: they are stored with every guest. */
const maxErrors = 10
const maxQuoted = 100

/** A value as an error shows it, truncated. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > maxQuoted ? `${text.slice(0, maxQuoted)}…` : text
}

/**
 * Reads a configuration or configuration list. Reports all errors at once, each with its field and a remedy. `plugins` are
 * the names of the plugins on this host; `fallbackName` is used when the configuration has no name.
 */
export function parseConflist(
  text: string,
  plugins: readonly string[],
  fallbackName: string,
): { conflist: Conflist } | { errors: string[] } {
  if (text.length > maxText)
    return { errors: [`spec.config has ${text.length} characters; at most ${maxText} are possible`] }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return {
      errors: [`spec.config is not valid JSON (${error instanceof Error ? error.message : String(error)}); correct it`],
    }
  }
  if (!isObject(value))
    return { errors: ['spec.config must be a JSON object: a CNI configuration or configuration list'] }
  if (isDeeperThan(value, maxDepth))
    return { errors: [`spec.config is nested deeper than ${maxDepth} levels; make it flatter`] }
  const errors: string[] = []
  const name = value.name ?? fallbackName
  if (typeof name !== 'string' || !networkName.test(name))
    errors.push(`name: ${quoted(name)} is no network name; use letters, digits, "_", "." and "-"`)
  const cniVersion = versionOf(value, errors)
  const { plugins: chain, ...single } = value
  const list = chain === undefined ? [single] : chain
  if (!Array.isArray(list) || !list.length) errors.push('plugins: must be a list with at least one plugin')
  else
    errors.push(
      ...list.flatMap((plugin, i) => pluginErrors(plugin, chain === undefined ? '' : `plugins[${i}].`, plugins)),
    )
  return errors.length
    ? { errors: errors.length > maxErrors ? [...errors.slice(0, maxErrors), '…'] : errors }
    : { conflist: { cniVersion, name: name as string, plugins: list as PluginConf[] } }
}

/** Names of all plugins of a list, IPAM plugins included, each once. */
export function typesOf({ plugins }: Conflist): string[] {
  const types = plugins.flatMap(({ type, ipam }) => [type, ...(isObject(ipam) ? [ipam.type] : [])])
  return [...new Set(types.filter((type) => typeof type === 'string'))]
}

/** The highest supported version among those of a configuration: `cniVersion`, or the list `cniVersions` (since 1.1.0). */
function versionOf({ cniVersion, cniVersions }: JsonObject, errors: string[]): string {
  if (cniVersions !== undefined && !Array.isArray(cniVersions))
    errors.push(`cniVersions: ${quoted(cniVersions)} must be a list of versions`)
  const list: readonly unknown[] = Array.isArray(cniVersions) ? cniVersions : []
  const own = cniVersion ?? (list.length ? undefined : defaultVersion)
  const version = highestSupported([...list, own])
  if (version !== undefined) return version
  const [field, value] = list.length ? ['cniVersions', [...list, own]] : ['cniVersion', own]
  errors.push(`${field}: ${quoted(value)} is not supported; use one of ${supportedVersions.join(', ')}`)
  return defaultVersion
}

function pluginErrors(plugin: unknown, path: string, available: readonly string[]): string[] {
  if (!isObject(plugin)) return [`${path || 'plugin'}: must be an object`]
  const errors = typeErrors(plugin.type, `${path}type`, available)
  if (isObject(plugin.ipam) && Object.keys(plugin.ipam).length)
    errors.push(...typeErrors(plugin.ipam.type, `${path}ipam.type`, available))
  return errors
}

function typeErrors(type: unknown, field: string, available: readonly string[]): string[] {
  if (typeof type !== 'string' || type === '') return [`${field}: is required; it names the CNI plugin`]
  if (!pluginName.test(type))
    return [`${field}: ${quoted(type)} is not the plain name of a plugin; paths are not allowed`]
  if (!available.includes(type))
    return [
      `${field}: there is no CNI plugin ${quoted(type)} on this host; available: ${available.join(', ') || 'none (install containernetworking-plugins)'}`,
    ]
  return []
}
