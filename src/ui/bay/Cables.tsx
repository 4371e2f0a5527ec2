import { jackEntries } from '../gesture/entries.ts'
import { say } from '../gesture/toasts.ts'
import type { CableState } from '../model/cable.ts'
import { cablePath, type Row } from '../model/layout.ts'
import type { Jack, Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { beginDrag, drag } from './drag.ts'
import { focusKey, hoverRail, railScroll, railYs, scrollTop, size, visibleRows } from './state.ts'

/** From the middle of a socket to its rim, pixels. */
const rim = 7

/** Signs of states, around the middle of their cables. */
const signs: Readonly<Partial<Record<CableState, string>>> = {
  // A cross, two arrows, an unequal sign, an hourglass, dots.
  failed: 'M-4 -4L4 4M4 -4L-4 4',
  migrating: 'M-5 -4L-1 0L-5 4M1 -4L5 0L1 4',
  drifted: 'M-5 -2H5M-5 3H5M3 -6L-3 7',
  waiting: 'M-4 -5H4L-4 5H4Z',
  moving: 'M-5 0H-4.9M0 0H0.1M5 0H5.1',
}

/** All cables whose jacks are in view. The list at the left says the same in words, so this picture is hidden from readers. */
export function Cables() {
  const { width, height } = size.value
  const jacks = visibleRows.value.filter((row) => row.kind === 'jack')
  return (
    <svg class="cables" width={width} height={height} aria-hidden="true">
      {jacks.map((row) => (
        <CableOf key={row.key} row={row} />
      ))}
      <Ghost />
    </svg>
  )
}

function CableOf({ row }: Readonly<{ row: Extract<Row, { kind: 'jack' }> }>) {
  const { machine, jack } = row
  const { state, from } = jack.cable
  const railY = railYs.value.get(jack.rail)
  if (state === 'unplugged' || railY === undefined) return null
  const { jackX, railX } = ends()
  const y1 = row.top + row.height / 2 - scrollTop.value
  const y2 = railY - railScroll.value
  if (y1 < -row.height || y1 > size.value.height + row.height) return null
  const isHeld =
    drag.value?.isMoving &&
    drag.value.from === 'jack' &&
    drag.value.jack === jack &&
    drag.value.machine.key === machine.key
  if (isHeld) return null
  const path = cablePath(jackX, y1, railX, y2)
  const old = from === undefined ? undefined : railYs.value.get(from)
  const sign = signs[state]
  const isDim = hoverRail.value !== undefined && hoverRail.value !== jack.rail
  const isLit = hoverRail.value === jack.rail || focusKey.value === row.key
  return (
    <g class={`cable ${state}${isDim ? ' dim' : ''}${isLit ? ' lit' : ''}`} data-cable={row.key} data-state={state}>
      {old !== undefined && <path class="old" d={cablePath(jackX, y1, railX, old - railScroll.value)} />}
      <path class="wire" d={path} pathLength={100} />
      {sign && (
        <g transform={`translate(${(jackX + railX) / 2} ${(y1 + y2) / 2})`}>
          <circle class="plate" r={9} />
          <path class="sign" d={sign} />
        </g>
      )}
      <path class="hit" d={path} onPointerDown={(event) => hold(event, machine, jack, y1)} />
    </g>
  )
}

/** Cables end at the rims of their sockets. */
function ends() {
  const { jackX, railX } = size.value
  return { jackX: jackX + rim, railX: railX - rim }
}

/** A press on a cable: it is pulled or put back when the pointer stays, dragged when it moves. */
function hold(event: PointerEvent, machine: Machine, jack: Jack, jackY: number): void {
  const target = event.currentTarget
  const origin = target instanceof Element ? target.closest<HTMLElement>('.bay') : null
  beginDrag(event, origin, { from: 'jack', machine, jack, jackY }, () => toggle(machine, jack))
}

function toggle(machine: Machine, jack: Jack): void {
  const [entry] = jackEntries(machine, jack)
  if (!entry) return
  if (entry.why !== undefined) say(entry.why, { isBad: true })
  else entry.run()
}

/** The cable that is in a hand. */
function Ghost() {
  const held = drag.value
  if (!held?.isMoving) return null
  const { jackX, railX } = size.value
  const path =
    held.from === 'jack'
      ? cablePath(jackX, held.jackY, held.x, held.y)
      : cablePath(held.x, held.y, railX, held.railY - railScroll.value)
  return (
    <g class="ghost">
      <path d={path} />
      <circle cx={held.x} cy={held.y} r={7} />
      <text x={held.x + 12} y={held.y - 12}>
        {held.from === 'jack' ? words.drag.rewire : words.drag.plug}
      </text>
    </g>
  )
}
