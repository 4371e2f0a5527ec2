import { signal } from '@preact/signals'
import { noNetwork, podNetwork } from '#core/nic/nic.ts'
import { wish } from '../gesture/ask.ts'
import { plugInto, whyNot } from '../gesture/entries.ts'
import { say } from '../gesture/toasts.ts'
import { networkNameFor } from '../model/gesture.ts'
import type { Jack, Machine } from '../model/machine.ts'
import { words } from '../words.ts'
import { bay, railAt, scrollTop, size } from './state.ts'

/** Pixels that a pointer moves before it drags. */
const threshold = 5
/** Pixels around a cable's own end within which letting go changes nothing. */
const slack = 40

/** What is being dragged: the end of a cable, or a new cable from a rail. Coordinates are the bay's. */
export type Drag = Readonly<
  { startX: number; startY: number; x: number; y: number; isMoving: boolean; target: string | undefined } & (
    | { from: 'jack'; machine: Machine; jack: Jack; jackY: number }
    | { from: 'rail'; rail: string; railY: number }
  )
>

export const drag = signal<Drag | undefined>(undefined)

type Start =
  | Readonly<{ from: 'jack'; machine: Machine; jack: Jack; jackY: number }>
  | Readonly<{ from: 'rail'; rail: string; railY: number }>

/** Begins a drag by a pointer; `onClick` is called when it never moved. */
export function beginDrag(event: PointerEvent, origin: HTMLElement | null, start: Start, onClick: () => void): void {
  if (event.button !== 0 || !origin) return
  event.preventDefault()
  const place = (at: PointerEvent) => {
    const { left, top } = origin.getBoundingClientRect()
    return { x: at.clientX - left, y: at.clientY - top }
  }
  const { x, y } = place(event)
  drag.value = { ...start, startX: x, startY: y, x, y, isMoving: false, target: undefined }
  const end = new AbortController()
  const { signal: until } = end
  const move = (at: PointerEvent) => {
    const now = drag.value
    if (!now) return
    const to = place(at)
    const isMoving = now.isMoving || Math.hypot(to.x - now.startX, to.y - now.startY) > threshold
    drag.value = { ...now, ...to, isMoving, target: targetAt(now, to.x, to.y) }
  }
  const stop = (isDone: boolean) => {
    end.abort()
    const last = drag.value
    drag.value = undefined
    if (!last || !isDone) return
    if (last.isMoving) drop(last)
    else onClick()
  }
  globalThis.addEventListener('pointermove', move, { signal: until })
  globalThis.addEventListener('pointerup', () => stop(true), { signal: until })
  globalThis.addEventListener('pointercancel', () => stop(false), { signal: until })
  globalThis.addEventListener('keydown', (key) => key.key === 'Escape' && stop(false), { signal: until })
}

/** What is under a pointer: a rail for the end of a cable, a machine for a new cable. */
function targetAt({ from }: Drag, x: number, y: number): string | undefined {
  if (from === 'jack') return railAt(x, y)
  if (x > size.value.jackX + 24) return undefined
  const top = y + scrollTop.value
  const row = bay.value.rows.find((one) => one.top <= top && top < one.top + one.height)
  return row && row.kind !== 'host' ? row.machine.key : undefined
}

function drop(last: Drag): void {
  if (last.from === 'rail') {
    const row = bay.value.rows.find((one) => one.kind === 'machine' && one.key === last.target)
    if (row?.kind !== 'machine') return
    const why = whyNot(row.machine, 'wire')
    if (why !== undefined) say(why, { isBad: true })
    else plugInto(row.machine, last.rail)
    return
  }
  const { machine, jack, target } = last
  const why = whyNot(machine, 'wire') ?? whyFixed(jack, target)
  const isBack = target === jack.rail || (target === undefined && last.x < size.value.jackX + slack)
  if (isBack) return
  if (why !== undefined) say(why, { isBad: true })
  else if (target === undefined) wish(machine, { do: 'unplug', nic: jack.name })
  else wish(machine, { do: 'rewire', nic: jack.name, network: networkNameFor(target, machine.namespace) })
}

function whyFixed({ isPrimary, isPluggable }: Jack, target: string | undefined): string | undefined {
  if (isPrimary || target === podNetwork) return words.fixed.primary
  return isPluggable || target === noNetwork ? undefined : words.fixed.binding
}
