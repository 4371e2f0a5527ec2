import { computed, signal } from '@preact/signals'
import { isNetwork } from '#core/nic/nic.ts'
import { machines, rails } from '../api/cluster.ts'
import { filtered, noFilter } from '../model/filter.ts'
import { layout, railHeight, windowOf } from '../model/layout.ts'

export const filter = signal(noFilter)
/** Size of the bay, and where its rails begin, in pixels. */
export const size = signal({ width: 0, height: 0, jackX: 0, railX: 0 })
export const scrollTop = signal(0)
export const railScroll = signal(0)
/** The line that has the keyboard's focus, by key. */
export const focusKey = signal('')
/** The rail that a pointer is over: its cables stand out. */
export const hoverRail = signal<string | undefined>(undefined)

export const shown = computed(() => filtered([...machines.value.values()], filter.value))
export const bay = computed(() => layout(shown.value))

/** Pixels by which the window over the lines moves at a time, so that most frames of a scroll change no line. */
const step = 120
const steppedTop = computed(() => Math.floor(scrollTop.value / step) * step)
export const visibleRows = computed(() =>
  windowOf(bay.value.rows, steppedTop.value, steppedTop.value + step + size.value.height),
)
export const namespaces = computed(() =>
  [...new Set([...machines.value.values()].map(({ namespace }) => namespace))].toSorted(),
)

/** Rails and where they lie; those of other networks go when one is filtered for. */
export const placedRails = computed(() => {
  const { network } = filter.value
  const all = rails.value.filter(({ key }) => !network || key === network || !isNetwork(key))
  const height = railHeight(all.length, size.value.height - 16)
  return { height, rails: all.map((rail, index) => ({ rail, y: 8 + index * height + height / 2 })) }
})

export const railYs = computed(() => new Map(placedRails.value.rails.map(({ rail, y }) => [rail.key, y])))

/** The rail at a place of the bay. */
export function railAt(x: number, y: number): string | undefined {
  if (x < size.value.railX - 12) return undefined
  const { height, rails: placed } = placedRails.value
  return placed.find((one) => Math.abs(one.y - railScroll.value - y) <= height / 2)?.rail.key
}
