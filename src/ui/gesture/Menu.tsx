import { useLayoutEffect, useRef } from 'preact/hooks'
import type { Entry } from './entries.ts'
import { closeMenu, menu } from './menu.ts'

/** The menu that is open, if any. */
export function Menu() {
  const open = menu.value
  const list = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const element = list.current
    if (!open || !element) return
    const { width, height } = element.getBoundingClientRect()
    element.style.left = `${Math.max(4, Math.min(open.x, innerWidth - width - 8))}px`
    element.style.top = `${Math.max(4, Math.min(open.y, innerHeight - height - 8))}px`
    element.querySelector<HTMLElement>('[role=menuitem]')?.focus()
  }, [open])
  if (!open) return null
  return (
    <>
      <div class="menu-cover" onPointerDown={closeMenu} />
      <div class="menu" role="menu" aria-label={open.label} ref={list} onKeyDown={onKeyDown}>
        {open.entries.map((entry) => (
          <Item key={entry.label} entry={entry} />
        ))}
      </div>
    </>
  )
}

function Item({ entry }: Readonly<{ entry: Entry }>) {
  const run = () => {
    if (entry.why !== undefined) return
    closeMenu()
    entry.run()
  }
  return (
    <button
      type="button"
      role="menuitem"
      tabIndex={-1}
      aria-disabled={entry.why !== undefined}
      aria-keyshortcuts={entry.key}
      onClick={run}
    >
      <span>{entry.label}</span>
      {entry.key && <kbd aria-hidden="true">{entry.key}</kbd>}
      {entry.why !== undefined && <small>{entry.why}</small>}
    </button>
  )
}

function onKeyDown(event: KeyboardEvent) {
  const list = event.currentTarget
  if (!(list instanceof HTMLElement)) return
  const items = [...list.querySelectorAll<HTMLElement>('[role=menuitem]')]
  const at = items.findIndex((one) => one.matches(':focus'))
  const steps: Readonly<Record<string, number>> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }
  const to = steps[event.key]
  if (event.key === 'Escape' || event.key === 'Tab') closeMenu()
  else if (to !== undefined) items.at(to % items.length)?.focus()
  else return
  event.preventDefault()
  event.stopPropagation()
}
