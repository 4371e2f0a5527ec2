import type { Jack, Machine } from './machine.ts'

/** One line of the bay's left side. Lines are flat, so that only those in view need be in the page. */
export type Row = Readonly<{ key: string; top: number; height: number }> &
  (
    | Readonly<{ kind: 'host'; host: string | undefined; count: number }>
    | Readonly<{ kind: 'machine'; machine: Machine }>
    | Readonly<{ kind: 'jack'; machine: Machine; jack: Jack }>
    | Readonly<{ kind: 'free'; machine: Machine }>
  )

/** Heights of lines in pixels; those of theme.css are the same. */
const heights = { host: 34, machine: 38, jack: 30, free: 30, gap: 10 } as const

/** The lines of the bay and their height in all; machines are grouped by host, those that run nowhere come last. */
export function layout(machines: readonly Machine[]): Readonly<{ rows: readonly Row[]; height: number }> {
  const rows: Row[] = []
  let top = 0
  const put = (height: number, row: Parameters<typeof at>[0]) => {
    rows.push(at(row, top, height))
    top += height
  }
  for (const [host, group] of byHost(machines)) {
    put(heights.host, { kind: 'host', key: `host:${host ?? ''}`, host, count: group.length })
    for (const machine of group) {
      put(heights.machine, { kind: 'machine', key: machine.key, machine })
      for (const jack of machine.jacks) put(heights.jack, { kind: 'jack', key: jackKey(machine, jack), machine, jack })
      put(heights.free, { kind: 'free', key: `${machine.key} `, machine })
      top += heights.gap
    }
  }
  return { rows, height: top }
}

type Unplaced = Row extends infer R ? (R extends Row ? Omit<R, 'top' | 'height'> : never) : never

function at(row: Unplaced, top: number, height: number): Row {
  return { ...row, top, height }
}

function jackKey({ key }: Pick<Machine, 'key'>, { name }: Pick<Jack, 'name'>): string {
  return `${key}/${name}`
}

function byHost(machines: readonly Machine[]): [string | undefined, Machine[]][] {
  const groups = new Map<string, Machine[]>()
  for (const machine of machines) {
    const host = machine.host ?? ''
    const group = groups.get(host)
    if (group) group.push(machine)
    else groups.set(host, [machine])
  }
  // `~` comes after every letter: what runs nowhere is last.
  const order = (host: string) => host || '~'
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
  return [...groups]
    .toSorted(([a], [b]) => compare(order(a), order(b)))
    .map(([host, group]) => [host || undefined, group.toSorted((a, b) => compare(a.key, b.key))])
}

/** The lines between two heights, with some beyond them. */
export function windowOf(rows: readonly Row[], from: number, to: number, beyond = 120): readonly Row[] {
  const first = lowest(rows, (row) => row.top + row.height > from - beyond)
  const end = lowest(rows, (row) => row.top >= to + beyond)
  return rows.slice(first, end)
}

/** Index of the first line for which a claim holds that holds for all after it. */
function lowest(rows: readonly Row[], holds: (row: Row) => boolean): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const row = rows[middle]
    if (row && !holds(row)) low = middle + 1
    else high = middle
  }
  return low
}

/** Where a cable hangs: from a jack at the left to a rail at the right, as the path of an SVG. */
export function cablePath(x1: number, y1: number, x2: number, y2: number): string {
  const bend = Math.max(24, (x2 - x1) * 0.45)
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
}

/** Height of a rail, so that as many as there are fit the view, within what can be read. */
export function railHeight(count: number, viewHeight: number): number {
  return Math.max(26, Math.min(48, Math.floor(viewHeight / Math.max(1, count))))
}
