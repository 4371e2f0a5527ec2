import { stat } from 'node:fs/promises'
import { faultKind } from '#base/fault.ts'
import type { JsonObject } from '#base/json.ts'

/** The versions of the CNI specification we support, oldest first. */
export const supportedVersions: readonly string[] = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']

/** The versions a plugin supports; undefined when it does not answer VERSION, as some scripts do not. */
export type VersionedPlugin = Readonly<{ type: string; versions: readonly string[] | undefined }>

/** The highest of some versions that we support too. */
export function highestSupported(versions: readonly unknown[]): string | undefined {
  return supportedVersions.findLast((version) => versions.includes(version))
}

/**
 * The version a list runs with: the highest that all of its plugins support, up to the configuration's own. A plugin that
 * does not answer VERSION counts as supporting all.
 * @returns a sentence instead when there is none
 */
export function negotiatedVersion(highest: string, plugins: readonly VersionedPlugin[]): string | { problem: string } {
  const possible = supportedVersions.slice(0, supportedVersions.indexOf(highest) + 1)
  const agreed = possible.findLast((one) => plugins.every(({ versions }) => versions?.includes(one) ?? true))
  if (agreed !== undefined) return agreed
  const common = supportedVersions.filter((one) => plugins.every(({ versions }) => versions?.includes(one) ?? true))
  const remedy = common.length ? `set cniVersion to ${common.at(-1)}` : 'use plugins that go together'
  const telling = plugins.filter(({ versions }) => versions)
  const strangers = telling.filter(({ versions }) => !possible.some((one) => versions?.includes(one)))
  const told = (strangers.length ? strangers : telling).map(
    ({ type, versions }) => `"${type}" speaks ${versions?.join(', ')}`,
  )
  return { problem: `cniVersion: no version up to ${highest} is spoken by all plugins (${told.join('; ')}); ${remedy}` }
}

/** Caches the supported versions of each program file until the file changes. */
export class PluginVersions {
  readonly #known = new Map<string, Readonly<{ mark: string; versions: readonly string[] | undefined }>>()

  /** `ask` runs the program with VERSION; a failure counts as no answer. @throws Fault Aborted */
  async of(program: string, ask: () => Promise<JsonObject>): Promise<readonly string[] | undefined> {
    const { mtimeMs, ino, size } = await stat(program)
    const mark = `${mtimeMs} ${ino} ${size}`
    const known = this.#known.get(program)
    if (known?.mark === mark) return known.versions
    const { supportedVersions } = await ask().catch((error: unknown): JsonObject => {
      if (faultKind(error) === 'Aborted') throw error
      return {}
    })
    const versions = Array.isArray(supportedVersions) ? supportedVersions.map(String) : undefined
    this.#known.set(program, { mark, versions })
    return versions
  }
}
