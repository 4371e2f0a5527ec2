import { useLayoutEffect, useRef } from 'preact/hooks'
import { isLoaded, machines } from '../api/cluster.ts'
import { noFilter } from '../model/filter.ts'
import { words } from '../words.ts'
import { Cables } from './Cables.tsx'
import { onBayKey } from './keys.ts'
import { Legend } from './Legend.tsx'
import { Rails } from './Rails.tsx'
import { RowView } from './Rows.tsx'
import { bay, filter, focusKey, scrollTop, shown, size, visibleRows } from './state.ts'

/** The patch bay: machines with their jacks at the left, networks as rails at the right, cables between them. */
export function Bay() {
  const box = useRef<HTMLDivElement>(null)
  const scroller = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const element = box.current
    if (!element) return
    const measure = () => {
      const { width, height } = element.getBoundingClientRect()
      const jackX = scroller.current?.clientWidth ?? 0
      const rails = element.querySelector<HTMLElement>('.rails')
      size.value = { width, height, jackX: jackX - 9, railX: (rails?.offsetLeft ?? width) + 9 }
    }
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    measure()
    if (scroller.current) scroller.current.scrollTop = scrollTop.value
    return () => observer.disconnect()
  }, [])
  if (isLoaded.value && !machines.value.size) return <Empty />
  return (
    <>
      <h1 class="unseen">{words.views.bay}</h1>
      <div class="bay" ref={box}>
        <div
          class="machines"
          ref={scroller}
          role="list"
          aria-label={words.views.bay}
          onScroll={(event) => {
            scrollTop.value = event.currentTarget.scrollTop
          }}
          onKeyDown={(event) => onBayKey(event, scroller.current)}
        >
          <Lines />
        </div>
        <Rails />
        <Cables />
        {!isLoaded.value && <p class="notice">{words.loading}</p>}
        {isLoaded.value && !shown.value.length && <NoMatch />}
      </div>
      <Legend />
    </>
  )
}

function Lines() {
  const rows = visibleRows.value
  // Tab leads into the list even when nothing in it had the focus.
  const isFocusable = rows.some(({ key, kind }) => key === focusKey.value && kind !== 'host')
  const first = rows.find(({ kind }) => kind !== 'host')
  useLayoutEffect(() => {
    if (!isFocusable && first && !document.activeElement?.closest('.machines')) focusKey.value = first.key
  }, [isFocusable, first?.key])
  return (
    <div class="track" role="presentation" style={{ height: `${bay.value.height}px` }}>
      {rows.map((row) => (
        <RowView key={row.key} row={row} />
      ))}
    </div>
  )
}

function Empty() {
  return (
    <div class="empty">
      <h1>{words.empty}</h1>
      <p class="dim">{words.emptyHint}</p>
      <a class="button primary" href="#/create">
        {words.views.create}
      </a>
    </div>
  )
}

function NoMatch() {
  return (
    <div class="notice">
      <p>{words.noMatch}</p>
      <button
        type="button"
        class="quiet"
        onClick={() => {
          filter.value = noFilter
        }}
      >
        {words.clearFilter}
      </button>
    </div>
  )
}
