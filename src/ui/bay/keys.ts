import { jackEntries, machineEntries } from '../gesture/entries.ts'
import { openMenu } from '../gesture/menu.ts'
import { say } from '../gesture/toasts.ts'
import type { Row } from '../model/layout.ts'
import { words } from '../words.ts'
import { bay, focusKey, scrollTop, size } from './state.ts'

/** Lines that Page Up and Page Down pass over. */
const pageLines = 10

/** The keys of the bay: arrows lead from line to line, Enter opens the menu of a line, letters are its entries. */
export function onBayKey(event: KeyboardEvent, scroller: HTMLElement | null): void {
  if (event.altKey || event.ctrlKey || event.metaKey || !scroller) return
  const rows = bay.value.rows.filter(({ kind }) => kind !== 'host')
  const at = rows.findIndex(({ key }) => key === focusKey.value)
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    PageDown: at + pageLines,
    PageUp: at - pageLines,
    Home: 0,
    End: rows.length - 1,
  }
  const to = steps[event.key]
  if (to !== undefined) {
    const row = rows[Math.max(0, Math.min(rows.length - 1, to))]
    if (row) focusRow(row, scroller)
    event.preventDefault()
    return
  }
  const row = rows[at]
  const target = event.target
  if (row && target instanceof HTMLElement && act(row, event.key, target)) event.preventDefault()
}

/** Brings a line into view and gives it the focus. */
function focusRow(row: Row, scroller: HTMLElement): void {
  const { height } = size.value
  if (row.top < scrollTop.value) scroller.scrollTop = row.top
  else if (row.top + row.height > scrollTop.value + height) scroller.scrollTop = row.top + row.height - height
  scrollTop.value = scroller.scrollTop
  focusKey.value = row.key
  // The line is drawn by the next render when it was out of view.
  requestAnimationFrame(() => {
    for (const one of scroller.querySelectorAll<HTMLElement>('[data-focus]'))
      if (one.dataset.focus === row.key) one.focus({ preventScroll: true })
  })
}

/** Whether a key meant something to a line. */
function act(row: Row, key: string, target: HTMLElement): boolean {
  if (row.kind !== 'jack' && row.kind !== 'machine') return false
  const entries = row.kind === 'jack' ? jackEntries(row.machine, row.jack) : machineEntries(row.machine)
  if (key === 'ArrowRight' || key === 'ContextMenu' || (key === 'Enter' && row.kind === 'jack')) {
    const { name } = row.machine
    openMenu(target, row.kind === 'jack' ? words.jackMenu(row.jack.name, name) : words.machineMenu(name), entries)
    return true
  }
  const entry = entries.find((one) => one.key?.toLowerCase() === key.toLowerCase() && one.key !== 'Enter')
  if (!entry) return false
  if (entry.why !== undefined) say(entry.why, { isBad: true })
  else entry.run()
  return true
}
