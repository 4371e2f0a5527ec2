import { load } from 'js-yaml'
import { isObject, isStrings } from '#base/json.ts'
import { idIn } from './ids.ts'
import type { DataCenter } from './world.ts'

/**
 * A cluster of a data center. Its version decides what its VMs can (the compatibility version of oVirt); `networks` are those
 * it has, all of its data center unless they are named.
 */
export type Cluster = Readonly<{
  id: string
  name: string
  dataCenter: DataCenter
  /** Whether it is the one that every data center has, where VMs are that name no other. */
  isFirst: boolean
  version: Readonly<{ major: number; minor: number }>
  networks?: ReadonlySet<string>
  /** Whether the interfaces that mirror may be edited while their guests run. */
  liveMirroring: boolean
}>

const newest = { major: 4, minor: 7 } as const

/**
 * The clusters of a data center: one of its own name, and those of the setting `clusters` in its ConfigMap, a YAML or JSON map from
 * names to `version`, `networks` and `liveMirroring`. What of it cannot be read counts as not written.
 */
export function clustersIn(dataCenter: DataCenter, setting: string | undefined): readonly Cluster[] {
  const named = isObject(settingOf(setting)) ? Object.entries(settingOf(setting) as object) : []
  const clusters = named.map(([name, value]) => clusterOf(dataCenter, name, value))
  const own = clusters.some(({ isFirst }) => isFirst) ? [] : [clusterOf(dataCenter, dataCenter.name, {})]
  return [...own, ...clusters]
}

function clusterOf(dataCenter: DataCenter, name: string, value: unknown): Cluster {
  const { version, networks, liveMirroring } = isObject(value) ? value : {}
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(String(version ?? '')) ?? []
  return {
    id: idIn(dataCenter.id, `cluster/${name}`),
    name,
    dataCenter,
    isFirst: name === dataCenter.name,
    version: major === undefined || minor === undefined ? newest : { major: Number(major), minor: Number(minor) },
    ...(isStrings(networks) && { networks: new Set(networks) }),
    liveMirroring: liveMirroring === true,
  }
}

function settingOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : load(text)
  } catch {
    return undefined
  }
}

/** The version as the engine's messages have it. */
export function versionText({ version }: Cluster): string {
  return `${version.major}.${version.minor}`
}

/** Whether a cluster knows network linking: before 3.2 none does (facts/ovirt.md §2.2, 11b to 11d). */
export function canLink({ version }: Cluster): boolean {
  return version.major > 3 || (version.major === 3 && version.minor >= 2)
}
