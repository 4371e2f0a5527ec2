import { useRef } from 'preact/hooks'
import type { Rail } from '../model/rail.ts'
import { words } from '../words.ts'
import { beginDrag, drag } from './drag.ts'
import { filter, hoverRail, placedRails, railScroll } from './state.ts'

/** The networks as rails. A press on a rail shows only its machines; a drag from its socket plugs a card. */
export function Rails() {
  const { height, rails } = placedRails.value
  const pane = useRef<HTMLDivElement>(null)
  return (
    <div
      class="rails"
      ref={pane}
      onScroll={(event) => {
        railScroll.value = event.currentTarget.scrollTop
      }}
    >
      <ul aria-label={words.network}>
        {rails.map(({ rail, y }) => (
          <RailRow key={rail.key} rail={rail} y={y} height={height} />
        ))}
      </ul>
    </div>
  )
}

function RailRow({ rail, y, height }: Readonly<{ rail: Rail; y: number; height: number }>) {
  const isTarget = drag.value?.from === 'jack' && drag.value.target === rail.key
  const isDense = height < 40
  const isChosen = filter.value.network === rail.key
  return (
    <li
      class={`rail ${rail.kind}${rail.problem ? ' troubled' : ''}${isTarget ? ' target' : ''}${isDense ? ' dense' : ''}`}
      style={{ height: `${height}px` }}
      data-rail={rail.key}
      onPointerEnter={() => {
        hoverRail.value = rail.key
      }}
      onPointerLeave={() => {
        hoverRail.value = undefined
      }}
    >
      <span
        class="socket"
        aria-hidden="true"
        title={rail.kind === 'nad' || rail.kind === 'parking' ? words.rail.plugHere(rail.name) : undefined}
        onPointerDown={(event) => {
          if (rail.kind !== 'nad' && rail.kind !== 'parking') return
          const origin = event.currentTarget.closest<HTMLElement>('.bay')
          beginDrag(event, origin, { from: 'rail', rail: rail.key, railY: y }, () => {})
        }}
      />
      <button
        type="button"
        aria-pressed={isChosen}
        title={rail.problem ?? rail.detail}
        onClick={() => {
          filter.value = { ...filter.value, network: isChosen ? '' : rail.key }
        }}
      >
        <strong>{rail.name}</strong>
        {rail.namespace && <span class="namespace">{rail.namespace}</span>}
        <span class="count" title={words.cables(rail.cables)}>
          {rail.cables}
        </span>
        <small>{rail.problem ?? rail.detail}</small>
      </button>
    </li>
  )
}
