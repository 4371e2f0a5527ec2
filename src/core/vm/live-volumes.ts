import type { Disk, Volume } from '#apis/kubevirt/disk.ts'
import type { VmiSpec } from '#apis/kubevirt/vmi.ts'
import { sameJson } from '#base/json.ts'
import { isHotpluggable, isPluggableDisk } from '../disk/hotplug.ts'

/**
 * A running spec with the volumes of a template that may come and leave while the guest runs (KubeVirt's declarative hot plug), and
 * their disks. The drive of a CD-ROM stays, and its medium is inserted, ejected or replaced. Everything else is as it runs.
 */
export function withVolumesOf(running: VmiSpec, template: VmiSpec): VmiSpec {
  if (running.domain.devices.disableHotplug) return running
  const wanted = new Map((template.volumes ?? []).map((one) => [one.name, one]))
  const wantedDisks = new Map(disksOf(template).map((one) => [one.name, one]))
  const has = new Map((running.volumes ?? []).map((one) => [one.name, one]))
  const hasDisks = new Map(disksOf(running).map((one) => [one.name, one]))
  /** Whether the guest has a drive that the template has as well. */
  const keepsDrive = (name: string) => {
    const [disk, next] = [hasDisks.get(name), wantedDisks.get(name)]
    return disk?.cdrom !== undefined && next !== undefined && sameJson(disk, next)
  }
  const leaves = (one: Volume): boolean => {
    if (!isHotpluggable(one) || wanted.has(one.name)) return false
    const disk = hasDisks.get(one.name)
    return keepsDrive(one.name) || (disk !== undefined && isPluggableDisk(disk) && !wantedDisks.has(one.name))
  }
  const comes = (one: Volume): boolean => {
    if (!isHotpluggable(one) || has.has(one.name)) return false
    const disk = wantedDisks.get(one.name)
    return keepsDrive(one.name) || (disk !== undefined && isPluggableDisk(disk) && !hasDisks.has(one.name))
  }
  const gone = new Set((running.volumes ?? []).filter(leaves).map(({ name }) => name))
  const coming = (template.volumes ?? []).filter(comes)
  const kept = (running.volumes ?? []).filter(({ name }) => !gone.has(name))
  const replaced = kept.map((one) => {
    const next = wanted.get(one.name)
    return next && isHotpluggable(one) && isHotpluggable(next) && keepsDrive(one.name) ? next : one
  })
  const disks = [
    ...disksOf(running).filter(({ name, cdrom }) => cdrom || !gone.has(name)),
    ...coming.flatMap(({ name }) => (hasDisks.has(name) ? [] : (wantedDisks.get(name) ?? []))),
  ]
  const spec = withDisks(running, disks, [...replaced, ...coming])
  return sameJson(spec, running) ? running : spec
}

/** A spec in which the order of volumes that may come and leave says nothing, and neither does that of their disks. */
export function withSortedVolumes(spec: VmiSpec): VmiSpec {
  const late = new Set((spec.volumes ?? []).filter(isHotpluggable).map(({ name }) => name))
  if (!late.size) return spec
  const sorted = <T extends { name: string }>(list: readonly T[], isLate: (one: T) => boolean) => [
    ...list.filter((one) => !isLate(one)),
    ...list.filter(isLate).toSorted((a, b) => a.name.localeCompare(b.name)),
  ]
  return withDisks(
    spec,
    sorted(disksOf(spec), ({ name, cdrom }) => !cdrom && late.has(name)),
    sorted(spec.volumes ?? [], ({ name }) => late.has(name)),
  )
}

/** The disks of a spec, if any. */
export function disksOf({ domain }: VmiSpec): readonly Disk[] {
  return domain.devices.disks ?? []
}

/** The spec with other disks and volumes. */
export function withDisks(spec: VmiSpec, disks: readonly Disk[], volumes: readonly Volume[]): VmiSpec {
  const { volumes: _, ...rest } = spec
  const { disks: _disks, ...devices } = spec.domain.devices
  return {
    ...rest,
    domain: { ...spec.domain, devices: { ...devices, ...(disks.length && { disks }) } },
    ...(volumes.length && { volumes }),
  }
}
